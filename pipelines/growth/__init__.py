"""A set grows: what is new, changed or was failing is computed, everything else is taken from the set as it stands.

Growing is an ordinary run over the new plan and the new columns, by an engine that looks into the old set first. It
writes into ``OUT/next``, a vector set of its own, while ``OUT`` stays as it is and can be read; a growth that was
stopped goes on there. Once it is complete it takes the place of the old set.

::

    deciding.py    what stands in OUT against what is asked for: which growth that is, or why it is none
    held.py        the cells of the old set, found by record or by content
    engine.py      takes what is held, has the rest computed
    growing.py     the run
    promotion.py   next/ takes the place of the old set, and may be stopped anywhere on the way
"""

from pipelines.growth.deciding import Grow, Growth, decide, schema_there
from pipelines.growth.growing import grow_set
from pipelines.growth.promotion import NEXT, settle

__all__ = ["NEXT", "Grow", "Growth", "decide", "grow_set", "schema_there", "settle"]
