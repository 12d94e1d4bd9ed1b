"""Slot records: small immutable classes that cost microseconds at import and that attrs can introspect.

``attrs.frozen`` costs half a millisecond a class and attrs itself 30 ms at import, which the launch path cannot
pay. A ``Record`` is declared in the same words (annotations and defaults); ``attrs.fields``, ``asdict`` and
``evolve`` work on it because ``__attrs_attrs__`` is built, and attrs imported, on first use. So there is one
declaration and nothing generated.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, dataclass_transform
else:

    def dataclass_transform(**_options):  # noqa: D103 - the one of typing
        return lambda thing: thing


_MISSING = object()


@dataclass_transform(frozen_default=True, kw_only_default=False)
class RecordType(type):
    """Turns the annotations of a class body into slots, defaults and a constructor."""

    __record_fields__: tuple[str, ...]
    __record_defaults__: dict[str, Any]

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> RecordType:
        """Make the class: annotated names become slots, their values defaults."""
        fields: tuple[str, ...] = ()
        defaults: dict[str, Any] = {}
        for base in bases:
            fields += tuple(getattr(base, "__record_fields__", ()))
            defaults.update(getattr(base, "__record_defaults__", {}))
        own = tuple(body.get("__annotations__", {}))
        for field in own:
            if field in body:
                defaults[field] = body.pop(field)
        body["__slots__"] = own
        body["__record_fields__"] = fields + own
        body["__record_defaults__"] = defaults
        body["__match_args__"] = fields + own
        return super().__new__(mcs, name, bases, body)

    @property
    def __signature__(cls) -> Any:
        """What ``inspect.signature`` and ``help`` ask a class for; made, and inspect imported, when somebody asks."""
        from inspect import Parameter, Signature

        types: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            types.update(vars(base).get("__annotations__", {}))
        defaults = cls.__record_defaults__
        return Signature(
            [
                Parameter(
                    field,
                    Parameter.POSITIONAL_OR_KEYWORD,
                    default=defaults.get(field, Parameter.empty),
                    annotation=types[field],
                )
                for field in cls.__record_fields__
            ]
        )

    @property
    def __attrs_attrs__(cls) -> Any:
        """What attrs asks a class for; made, and attrs imported, when somebody asks."""
        import attr

        these = {
            field: attr.ib(default=cls.__record_defaults__.get(field, attr.NOTHING)) for field in cls.__record_fields__
        }
        return attr.fields(attr.make_class(cls.__name__, these, frozen=True))


class Record(metaclass=RecordType):
    """Base of all records. Immutable; compares and prints by value."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        cls = type(self)
        fields = cls.__record_fields__
        if len(args) > len(fields):
            raise TypeError(f"{cls.__name__} takes {len(fields)} arguments, {len(args)} given")
        put = object.__setattr__
        for field, value in zip(fields, args):
            if field in kwargs:
                raise TypeError(f"{cls.__name__} got two values for {field!r}")
            put(self, field, value)
        defaults = cls.__record_defaults__
        for field in fields[len(args) :]:
            value = kwargs.pop(field, _MISSING)
            if value is _MISSING:
                value = defaults.get(field, _MISSING)
                if value is _MISSING:
                    raise TypeError(f"{cls.__name__} needs {field!r}")
            put(self, field, value)
        if kwargs:
            raise TypeError(f"{cls.__name__} has no {', '.join(map(repr, kwargs))}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: use replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash((type(self), tuple(repr(v) for v in self.as_dict().values())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.as_dict().items())})"

    def as_dict(self) -> dict[str, Any]:
        """The fields in their order; values as they are (not copied, not converted)."""
        return {field: getattr(self, field) for field in type(self).__record_fields__}

    def replace(self, **changes: Any) -> Any:
        """A copy with some fields changed; an unknown field is a TypeError."""
        return type(self)(**{**self.as_dict(), **changes})
