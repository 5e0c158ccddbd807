"""What botocore's model of Firehose allows: its members, and right and wrong values of each. What the model says too little of has
values by name here."""

import copy
import re

import botocore.session

import service
from glue import ROLE

OTHER_ROLE = "arn:aws:iam::123456789012:role/other"
LAMBDA = f"arn:aws:lambda:{service.REGION}:123456789012:function:keep"
ERRORS = "errors/!{firehose:error-output-type}/"
DATABASE, TABLE = "lake", "rows"
MODEL = botocore.session.get_session().get_service_model("firehose")


def shape(operation, member):
    return MODEL.operation_model(operation).input_shape.members[member]


# ---- values ----

# Of a string that is not any text: values that are right, by the name of its shape. The first one is that of the bases.
TEXTS = {
    "RoleARN": [ROLE, OTHER_ROLE],
    "BucketARN": ["arn:aws:s3:::one", "arn:aws-cn:s3:::two"],
    "Prefix": ["p/", "", "legacy", "a=!{timestamp:yyyy}/b=!{firehose:random-string}/"],
    "ErrorOutputPrefix": [ERRORS, "!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/x"],
    "AWSKMSKeyARN": ["arn:aws:kms:us-east-1:123456789012:key/k", "arn:aws:kms:us-east-1:123456789012:alias/a"],
    "FileExtension": [".lake", ".json.gz", ""],
    "CustomTimeZone": ["Europe/Berlin", "UTC", "America/New_York", ""],
    "HttpEndpointUrl": ["https://collector.example/firehose", "https://other.example:8443/?a=b"],
    "SecretARN": ["arn:aws:secretsmanager:us-east-1:123456789012:secret:s"],
}
# The same by the end of the path, where the shape says too little.
TEXTS_AT = {
    "SchemaConfiguration.RoleARN": [ROLE, OTHER_ROLE],
    "SchemaConfiguration.DatabaseName": [DATABASE],
    "SchemaConfiguration.TableName": [TABLE],
    "SchemaConfiguration.Region": [service.REGION],
    "SchemaConfiguration.CatalogId": ["123456789012"],
    "SchemaConfiguration.VersionId": ["LATEST", "1"],
    "HiveJsonSerDe.TimestampFormats": ["millis", "yyyy-MM-dd HH:mm:ss"],
    "OrcSerDe.BloomFilterColumns": ["n"],
}
PROCESSORS = "ProcessingConfiguration.Processors"


def parameters(**given):
    return [{"ParameterName": name, "ParameterValue": value} for name, value in given.items()]


# Of every processor type, with every parameter that it has.
PROCESSOR = {
    "RecordDeAggregation": [parameters(SubRecordType="JSON"), parameters(SubRecordType="DELIMITED", Delimiter="IyMjIw==")],
    "Decompression": [parameters(CompressionFormat="GZIP"), parameters()],
    "CloudWatchLogProcessing": [parameters(DataMessageExtraction="True"), parameters(DataMessageExtraction="False")],
    "Lambda": [
        parameters(LambdaArn=LAMBDA, NumberOfRetries=retries, RoleArn=ROLE, BufferSizeInMBs=size, BufferIntervalInSeconds=wait)
        for retries, size, wait in [("3", "1", "60"), ("0", "0.2", "0"), ("300", "3.0", "900")]
    ],
    "MetadataExtraction": [parameters(MetadataExtractionQuery="{tenant: .tenant}", JsonParsingEngine="JQ-1.6")],
    "AppendDelimiterToRecord": [[]],
}
PARTITIONED = ("RecordDeAggregation", "MetadataExtraction")


def processor(kind, given):
    one = {"Type": kind, "Parameters": given}
    return [processor("Decompression", [])[0], one] if kind == "CloudWatchLogProcessing" else [one]


def text_of_length(pattern, length):
    """A text of so many characters which the pattern takes, if we know one."""
    return next((text for text in ("x" * length, "." + "x" * (length - 1)) if re.fullmatch(pattern or ".*", text)), None)


def values(of, path):
    """Values that the model allows at a leaf: all of an enumeration, the ends of a range, both booleans."""
    if of.metadata.get("enum"):
        return list(of.metadata["enum"])
    bounds = [of.metadata[end] for end in ("min", "max") if end in of.metadata]
    if of.type_name == "boolean":
        return [True, False]
    if of.type_name == "integer":
        return bounds if len(bounds) == 2 else [*bounds, max(bounds[0], 1) * 2]
    if of.type_name == "double":
        return [float(end) for end in bounds] + [sum(bounds) / 2]
    assert of.type_name == "string", f"{path}: {of}"
    known = next((texts for end, texts in TEXTS_AT.items() if path.endswith(end)), TEXTS.get(of.name))
    if known:
        return known
    ends = [text_of_length(of.metadata.get("pattern"), length) for length in bounds if length > 0]
    found = ["x1", *(text for text in ends if text)]
    assert all(re.fullmatch(of.metadata.get("pattern", ".*"), text) for text in found), f"{path}: no text for {of.metadata}"
    return found


def full(of, path, leave_out):
    """Every member of the model below a shape, but for those in `leave_out`."""
    if path.endswith(PROCESSORS):
        return processor("Lambda", PROCESSOR["Lambda"][0])
    if of.type_name == "structure":
        inner = ((name, f"{path}.{name}".lstrip("."), member) for name, member in of.members.items())
        return {name: full(member, at, leave_out) for name, at, member in inner if not leave_out(at)}
    if of.type_name == "list":
        return [full(of.member, path, leave_out)]
    if of.type_name == "map":
        return {"column": "key of it"}
    return values(of, path)[0]


def leaves(of, path=()):
    """(path, shape) of every leaf; lists and maps are leaves here where they hold no structures."""
    for name, member in of.members.items():
        inside = member.type_name == "list" and member.member.type_name == "structure"
        if member.type_name == "structure":
            yield from leaves(member, (*path, name))
        elif inside and name != "Processors":
            yield from leaves(member.member, (*path, name, 0))
        else:
            yield (*path, name), member


def get(tree, path):
    for name in path:
        if not (name in tree if isinstance(tree, dict) else isinstance(tree, list) and len(tree) > name):
            return None
        tree = tree[name]
    return tree


def put(tree, path, value):
    tree = copy.deepcopy(tree)
    inner = get(tree, path[:-1])
    inner[path[-1]] = value
    return tree


def dotted(path):
    return ".".join(str(name) for name in path)


def without(*ends):
    return lambda path: any(path == end or path.endswith("." + end) for end in ends)


def in_model(of, path):
    first, _, rest = path.partition(".")
    return first in of.members and (not rest or in_model(of.members[first], rest))


# ---- values that are wrong ----


def beyond(of):
    """(value, constraint) just outside of what the model allows at a leaf."""
    least, most = of.metadata.get("min"), of.metadata.get("max")
    if of.metadata.get("enum"):
        yield "NOT_THERE", f"Member must satisfy enum value set: [{', '.join(sorted(of.metadata['enum']))}]"
    elif of.type_name in ("integer", "double"):
        if least is not None:
            yield least - 1, f"Member must have value greater than or equal to {least}"
        if most is not None:
            yield most + 1, f"Member must have value less than or equal to {most}"
    elif of.type_name == "string":
        pattern = of.metadata.get("pattern")
        if most is not None:
            yield "x" * (most + 1), f"Member must have length less than or equal to {most}"
        if least:
            yield "", f"Member must have length greater than or equal to {least}"
        wrong = next((text for text in (" ", "é*:\n", "x y") if pattern and not re.fullmatch(pattern, text, re.DOTALL)), None)
        if wrong:
            yield wrong, f"Member must satisfy regular expression pattern: {pattern}"


# AWS names the values of some enumerations in an order of its own.
ENUMERATION = re.compile(r"(?<=enum value set: \[)[^]]*")


def in_order(found):
    return ", ".join(sorted(found[0].split(", ")))


def camel(name):
    return name[0].lower() + name[1:]
