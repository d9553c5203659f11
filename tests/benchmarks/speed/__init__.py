"""How fast this package embeds beside everything else that a user could take, in one command.

::

    uv run python -m tests.benchmarks.speed --workload resnet --json results.json
    uv run python -m tests.benchmarks.speed --quick                       # everything, small, one round

Inputs and weights are made once, from a seed, into a cache folder. Every contender is a process of its own, on the
CPU, started in turns (A B C, C B A, ...) on the same cores with the files in the page cache, and timed from its
start to its end. What is compared are ratios within a round; a run beside which others took more than a tenth of
the cores is thrown out. Vectors are held against those of the plain fp32 script, rates against ceilings measured in
the same rounds.

``sets`` and ``models`` make what is embedded and by what, ``workloads`` says who contends, ``scripts`` holds the
contenders, ``watching`` measures one process tree, ``rounds`` takes turns, ``agreement`` compares vectors,
``growth`` holds the measurements that are not races, ``report`` prints.
"""
