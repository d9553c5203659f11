from embedders.conformance import contract

TestContract = contract("series.rhythm")
