"""A bank account that cannot be overdrawn."""


class Account:
    """Money of one owner, in cents."""

    def __init__(self, owner: str, balance: int = 0) -> None:
        """An account with a first balance."""
        self.owner = owner
        self.balance = balance

    def deposit(self, cents: int) -> None:
        """Pay money into the account."""
        self.balance += cents

    def withdraw(self, cents: int) -> None:
        """Take money out of the account; raises ValueError where there is not enough."""
        if cents > self.balance:
            raise ValueError(f"{self.owner} has only {self.balance}")
        self.balance -= cents
