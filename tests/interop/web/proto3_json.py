"""Checks JSON of the server against the messages that it stands for, by the rules of proto3 JSON and our own of numbers."""

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor

SAFE = 2**53 - 1
WIDE = {FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64}
WELL_KNOWN = "google.protobuf."


def parsed(pool, name, document):
    """The message of a document, whose names and values are checked first."""
    descriptor = pool.FindMessageTypeByName(name)
    check(descriptor, document)
    return json_format.ParseDict(document, message_factory.GetMessageClass(descriptor)())


def check(descriptor, document):
    """Checks the names of a JSON object, and that its values have the types that JavaScript reads without loss."""
    fields = {field.json_name: field for field in descriptor.fields}
    assert document.keys() <= fields.keys(), f"{document.keys() - fields.keys()} in {descriptor.full_name}"
    for name, value in document.items():
        values = value if isinstance(value, list) else [value]
        assert values, f"{name} is empty and should be left out"
        for each in values:
            check_value(fields[name], each)
        # A field of a oneof, or one that is declared optional, is there when it was set.
        if not fields[name].has_presence and not isinstance(value, list):
            assert str(value) != str(fields[name].default_value), f"{name} has its default value and should be left out"


def check_value(field, value):
    """Checks the type of one value."""
    if field.cpp_type in WIDE:
        exact = field.name.endswith("_nanos")
        assert isinstance(value, str if exact or abs(int(value)) > SAFE else int), f"{field.name}: {value!r}"
    elif field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        assert isinstance(value, str), f"{field.name}: {value!r}"
    elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        if field.message_type.full_name.startswith(WELL_KNOWN):
            # Timestamps and durations; `parsed` reads them.
            assert isinstance(value, str) and value[-1] in "Zs", f"{field.name}: {value!r}"
        else:
            check(field.message_type, value)
