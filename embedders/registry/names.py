"""From names to embedders and modalities."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Collection, Mapping
from typing import Any

from embedders.base import BaseEmbedder
from embedders.errors import ContractError, SetupError, UsageError, nearest
from embedders.modality import Modality
from embedders.registry.entry import EMBEDDERS, MODALITIES, NAME, OURS, Entry, installed
from embedders.registry.reference import parse

__all__ = ["Registry"]


class Registry:
    """Names to classes. One instance serves the process; tests make their own."""

    def __init__(self) -> None:
        self._classes: dict[str, type] = {}
        self._registered: dict[str, dict[str, Entry]] = {EMBEDDERS: {}, MODALITIES: {}}
        self._installed: dict[str, dict[str, Entry]] = {}
        self._instances: dict[str, Modality] = {}

    def entries(self, group: str = EMBEDDERS) -> Mapping[str, Entry]:
        """All names of a group in order, read from package metadata alone.

        A name that two packages claim, or that is none, is listed with its problem and refused when it is used:
        one bad package takes no other's name with it.
        """
        return dict(sorted({**self._from_metadata(group), **self._registered[group]}.items()))

    def distributions(self, embedder: BaseEmbedder) -> tuple[str, ...]:
        """Installed distributions whose own code makes an embedder's vectors, its modality's decoder included.

        Known by what they registered: a class belongs to whoever registered anything from its top package.
        """
        packages = {cls.__module__.partition(".")[0] for cls in type(embedder).__mro__}
        entries = [*self.entries().values(), *self.entries(MODALITIES).values()]
        found = {e.distribution for e in entries if e.target.partition(":")[0].partition(".")[0] in packages}
        modality = self.entries(MODALITIES).get(embedder.spec.modality)
        return tuple(sorted({*found, modality.distribution if modality else ""} - {""}))

    def register(self, name: str, cls: type) -> None:
        """Add an embedder (``modality.variant``) or a modality (one word) for this process.

        Raises UsageError if the name is taken by another class or does not fit the pattern.
        """
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name", "Lower-case letters, digits and _: 'audio.birds', 'video'")
        kind, group = (BaseEmbedder, EMBEDDERS) if "." in name else (Modality, MODALITIES)
        if not (isinstance(cls, type) and issubclass(cls, kind)):
            raise UsageError(f"{name!r} cannot be {cls!r}: it is not a {kind.__name__} class")
        target = f"{cls.__module__}:{cls.__qualname__}"
        known = self.entries(group).get(name)
        if known is not None and self._classes.get(name) is not cls and known.target != target:
            raise UsageError(f"{name!r} is taken: {known.target} from {known.provider}, and now {target}")
        self._registered[group][name] = Entry(name, target, "register()", kind=getattr(cls, "kind", "embedder"))
        self._classes[name] = cls
        self._instances.pop(name, None)

    def find(self, name: str) -> type[BaseEmbedder]:
        """The embedder class of a name, of a modality's default, or of ``package.module:Class``."""
        if ":" in name:
            cls = self._import(Entry(name, name, "given by path"))
        else:
            if "." not in name:
                name = self._default(name)
            cls = self._load(EMBEDDERS, name)
        if not (isinstance(cls, type) and issubclass(cls, BaseEmbedder)):
            raise ContractError(f"{name!r} leads to {cls!r}, which is not an embedder class")
        return cls

    def full_name(self, name: str) -> str:
        """``image`` becomes ``image.resnet50``; a full name or path stays."""
        return name if "." in name or ":" in name else self._default(name)

    def create(self, reference: str, **options: Any) -> BaseEmbedder:
        """An embedder from a reference like ``image.clip`` or ``text.bert(pooling=cls)`` plus options.

        Options in brackets win over those given by name.
        """
        name, bracketed = parse(reference)
        return self.find(name)(**{**options, **bracketed})

    def modality(self, name: str) -> Modality:
        """The modality of a name; one instance each, since they have no state."""
        if name not in self._instances:
            cls = self._load(MODALITIES, name)
            if not (isinstance(cls, type) and issubclass(cls, Modality)):
                raise ContractError(f"The modality {name!r} leads to {cls!r}, which is not a Modality class")
            provider = self.entries(MODALITIES)[name].provider
            named, suffixes = getattr(cls, "name", None), getattr(cls, "suffixes", None)
            if named != name or not isinstance(suffixes, set | frozenset):
                raise ContractError(
                    f"The modality {name!r} from {provider} has the name {named!r} and the suffixes {suffixes!r}",
                    "A Modality class sets its name as it is registered, and a frozenset of suffixes",
                )
            try:
                self._instances[name] = cls()
            except Exception as error:
                raise ContractError(
                    f"The modality {name!r} from {provider} cannot be made: {type(error).__name__}: {error}"
                ) from error
        return self._instances[name]

    def modalities(self) -> list[Modality]:
        """All modalities, in order of their names; one that cannot be used is left out with a warning."""
        found = []
        for name in self.entries(MODALITIES):
            try:
                found.append(self.modality(name))
            except (SetupError, ContractError) as error:
                warnings.warn(f"The modality {name!r} is left out: {error}", stacklevel=2)
        return found

    def suffixes(self, chosen: Collection[str] = ()) -> dict[str, str]:
        """Which modality a file suffix stands for, in order of the modalities' names.

        Where two modalities claim one, it goes to that of the two which is ``chosen``, else to the built-in, else
        to the first by name; a warning names both, unless a choice was made.
        """
        entries = self.entries(MODALITIES)

        def rank(modality: Modality) -> tuple[bool, bool, str]:
            name = modality.name
            return name not in chosen, entries[name].distribution != OURS, name

        known, owners = self.modalities(), dict[str, Modality]()
        for modality in sorted(known, key=rank):
            for suffix in sorted(modality.suffixes):
                owner = owners.setdefault(suffix, modality)
                if owner is not modality and owner.name not in chosen:
                    both = " and ".join(f"{m.name} ({entries[m.name].provider})" for m in (owner, modality))
                    cure = f"--embed {modality.name}=... gives them to {modality.name}"
                    warnings.warn(f"Files in {suffix} go to {owner.name}: {both} claim them. {cure}", stacklevel=2)
        return {suffix: m.name for m in known for suffix, owner in owners.items() if owner is m}

    def _default(self, name: str) -> str:
        if name not in self.entries(MODALITIES):
            raise UsageError(f"There is no embedder {name!r}", nearest(name, self.entries()))
        defaults = self.modality(name).defaults
        if not defaults:
            raise UsageError(f"The modality {name!r} has no default embedder", f"Name one: {name}.<variant>")
        return defaults[0]

    def _load(self, group: str, name: str) -> type:
        entries = self.entries(group)
        if name not in entries:
            kind = "embedder" if group == EMBEDDERS else "modality"
            raise UsageError(f"There is no {kind} {name!r}", nearest(name, entries))
        if entries[name].problem:
            raise SetupError(entries[name].problem)
        if name not in self._classes:
            self._classes[name] = self._import(entries[name])
        return self._classes[name]

    def _import(self, entry: Entry) -> Any:
        module, _, attribute = entry.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            missing = str(error.name)
            cure = f"Install it: pip install '{entry.extra or missing}'"
            if missing == module or module.startswith(missing + "."):
                cure = f"{entry.name!r} comes from {entry.provider}"
            raise SetupError(f"{entry.name!r} needs the package {missing!r}, which is missing", cure) from error
        except (Exception, SystemExit) as error:
            raise SetupError(
                f"{entry.name!r} ({entry.target}, from {entry.provider}) cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _from_metadata(self, group: str) -> dict[str, Entry]:
        if group not in self._installed:
            self._installed[group] = installed(group)
        return self._installed[group]
