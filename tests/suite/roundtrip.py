"""Every option of the service model round-trips: what CreateDeliveryStream is given DescribeDeliveryStream shows, leaf by leaf.

The members, enumerations, ranges and patterns come from the model of Firehose that botocore carries: a member that is new there is
given here, and fails unless it comes back. What is refused by design is in REFUSED, with the error; what cannot be shown is in HIDDEN.
"""

import copy
import itertools

from botocore.exceptions import ClientError

import s3
import service
from glue import Glue
from model import (
    DATABASE, ENUMERATION, MODEL, PARTITIONED, PROCESSOR, PROCESSORS, TABLE, beyond, camel, dotted, full, get, in_model, in_order, leaves,
    parameters, processor, put, shape, values, without,
)

EXTENDED, ENDPOINT = "ExtendedS3DestinationConfiguration", "HttpEndpointDestinationConfiguration"
INVALID, CONSTRAINT = "InvalidArgumentException", "ValidationException"


# ---- bases: destinations with everything that goes together ----


def bases(member):
    """Destinations by name, in the order in which a member is looked for."""
    of = shape("CreateDeliveryStream", member)
    if member == ENDPOINT:
        kms = full(of, "", without("NoEncryptionConfig"))
        plain = full(of, "", without("KMSEncryptionConfig"))
        for base in (plain, kms):
            base["SecretsManagerConfiguration"]["Enabled"] = False
        return {"plain": plain, "kms": kms}
    lake = ("DataFormatConversionConfiguration", "DynamicPartitioningConfiguration")
    found = {
        "plain": full(of, "", without("KMSEncryptionConfig", *lake)),
        "kms": full(of, "", without("NoEncryptionConfig", *lake)),
        "parquet": full(of, "", without("KMSEncryptionConfig", "OrcSerDe", "HiveJsonSerDe")),
        "orc": full(of, "", without("KMSEncryptionConfig", "ParquetSerDe", "OpenXJsonSerDe", "DynamicPartitioningConfiguration")),
        "off": full(of, "", without("KMSEncryptionConfig", "OrcSerDe", "HiveJsonSerDe")),
    }
    parquet, off = found["parquet"], found["off"]
    parquet["Prefix"] = "t=!{partitionKeyFromQuery:tenant}/h=!{partitionKeyFromLambda:h}/"
    kinds = ("RecordDeAggregation", "Lambda", "MetadataExtraction")
    chain = (processor(kind, PROCESSOR[kind][0]) for kind in kinds)
    parquet["ProcessingConfiguration"]["Processors"] = list(itertools.chain(*chain))
    for base in (parquet, found["orc"]):
        base["BufferingHints"] = {"SizeInMBs": 64, "IntervalInSeconds": 60}
    for feature in (*lake, "ProcessingConfiguration"):
        off[feature]["Enabled"] = False
    # A backup is there from the beginning in all but one: it can be enabled later, and never be disabled.
    for name, base in found.items():
        base["S3BackupMode"] = "Disabled" if name == "off" else "Enabled"
    return found


def base_of(all_bases, path, value):
    """The base in which a value makes sense."""
    at = dotted(path)
    wanted = {
        ("S3BackupMode", "Disabled"): "off", ("DynamicPartitioningConfiguration.Enabled", True): "parquet",
        ("DynamicPartitioningConfiguration.Enabled", False): "off", ("DataFormatConversionConfiguration.Enabled", False): "off",
        ("ProcessingConfiguration.Enabled", False): "off",
    }.get((at, value) if isinstance(value, (str, bool)) else None)
    names = [wanted] if wanted in all_bases else list(all_bases)
    for name in names:
        if get(all_bases[name], path) is not None:
            return name, all_bases[name]
    raise AssertionError(f"no base has {at}: the model is ahead of this test")


# ---- what is refused, and what is changed, by design ----

# (destination, path, value): why, and the whole error.
REFUSED = {
    (ENDPOINT, "SecretsManagerConfiguration.Enabled", True): (
        "keys of endpoints are kept by Standpipe, there is no Secrets Manager to ask",
        INVALID, "SecretsManagerConfiguration is not supported yet by Standpipe",
    ),
}
# Processors that cannot stand before an HTTP endpoint, as with AWS: they are for dynamic partitioning.
for kind in PARTITIONED:
    REFUSED[ENDPOINT, PROCESSORS, kind] = (
        "only with dynamic partitioning, as with AWS",
        INVALID, f"class com.amazonaws.services.firehose.internal.model.{kind}Processor can only be present when Dynamic Partitioning is "
        "enabled.",
    )
# Members that Describe does not show, because the model of its answer does not have them.
HIDDEN = {ENDPOINT: ["EndpointConfiguration.AccessKey"], EXTENDED: []}
SHOWN_AS = {"S3BackupConfiguration": "S3BackupDescription", "S3Configuration": "S3DestinationDescription"}
UPDATED_AS = {"S3BackupConfiguration": "S3BackupUpdate", "S3Configuration": "S3Update"}
DESCRIPTION = {EXTENDED: "ExtendedS3DestinationDescription", ENDPOINT: "HttpEndpointDestinationDescription"}
UPDATE = {EXTENDED: "ExtendedS3DestinationUpdate", ENDPOINT: "HttpEndpointDestinationUpdate"}
# What is filled in where only what is required is given: spec/firehose.md sections 2, 3 and 9.
PLAIN_DEFAULTS = {
    "Prefix": "", "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300}, "CompressionFormat": "UNCOMPRESSED",
    "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"}, "CloudWatchLoggingOptions": {"Enabled": False},
}
DEFAULTS = {
    EXTENDED: PLAIN_DEFAULTS | {"S3BackupMode": "Disabled"},
    ENDPOINT: {
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300}, "CloudWatchLoggingOptions": {"Enabled": False},
        "RequestConfiguration": {"ContentEncoding": "NONE"}, "RetryOptions": {"DurationInSeconds": 300},
        "S3BackupMode": "FailedDataOnly",
    },
}


def as_shown(member, given):
    """What Describe is to show of a destination."""
    shown = {SHOWN_AS.get(name, name): value for name, value in copy.deepcopy(given).items()}
    for path in HIDDEN[member]:
        *above, last = path.split(".")
        assert not in_model(MODEL.shape_for(DESCRIPTION[member]), path), f"{path} can be shown: it must be"
        (get(shown, above) or {}).pop(last, None)
    return shown


def differences(wanted, found, path=()):
    """Every leaf in which two trees differ."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        names = sorted(wanted.keys() | found.keys())
        return [one for name in names for one in differences(wanted.get(name), found.get(name), (*path, name))]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [one for index, pair in pairs for one in differences(*pair, (*path, index))]
    # Neither 1 and True, nor 1 and 1.0, are the same.
    return [] if wanted == found and type(wanted) is type(found) else [f"{dotted(path)}: {wanted!r} became {found!r}"]


class Streams:
    """Makes, shows, changes and removes streams, one after the other."""

    def __init__(self, client):
        self.client, self.made, self.count = client, 0, itertools.count()

    def create(self, member, destination):
        """Its name, or the error: a pair of code and message."""
        name = f"s{next(self.count)}"
        try:
            self.client.create_delivery_stream(DeliveryStreamName=name, DeliveryStreamType="DirectPut", **{member: destination})
        except ClientError as error:
            return None, refusal(error)
        self.made += 1
        return name, None

    def describe(self, name):
        return self.client.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]

    def shown(self, member, name):
        (destination,) = self.describe(name)["Destinations"]
        if member == EXTENDED:
            plain = destination["S3DestinationDescription"]
            extended = destination["ExtendedS3DestinationDescription"]
            assert plain == {key: extended[key] for key in plain} and "BucketARN" in plain, destination
        return destination[DESCRIPTION[member]]

    def update(self, member, name, version, update):
        """The error, if there is one."""
        try:
            self.client.update_destination(
                DeliveryStreamName=name, CurrentDeliveryStreamVersionId=version, DestinationId="destinationId-000000000001",
                **{UPDATE[member]: update},
            )
        except ClientError as error:
            return refusal(error)
        return None

    def delete(self, name):
        self.client.delete_delivery_stream(DeliveryStreamName=name)


def refusal(error):
    return error.response["Error"]["Code"], error.response["Error"]["Message"]


def comes_back(streams, member, what, given, faults):
    """That a destination is taken, and shown as it was given."""
    name, refused = streams.create(member, given)
    if refused:
        faults.append(f"{what}: refused: {refused}")
        return
    faults.extend(f"{what}: {one}" for one in differences(as_shown(member, given), streams.shown(member, name)))
    streams.delete(name)


# ---- the parts of the check ----


def every_value(streams, member, faults):
    """Each leaf of the model with each of its values, the rest as in a base."""
    refused_by_design, all_bases = dict(REFUSED), bases(member)
    for name, base in all_bases.items():
        comes_back(streams, member, f"base {name}", base, faults)
    for path, of in leaves(shape("CreateDeliveryStream", member)):
        at = dotted(path)
        for value in alternatives(of, at):
            _, base = base_of(all_bases, path, value)
            given = in_context(put(base, path, value), at, value)
            expected = refused_by_design.pop((member, at, value if isinstance(value, (str, bool)) else None), None)
            if expected:
                _, refused = streams.create(member, given)
                if refused != expected[1:]:
                    faults.append(f"{at} = {value!r}: {refused}, not the error that is by design ({expected[0]})")
            else:
                comes_back(streams, member, f"{at} = {str(value)[:60]!r}", given, faults)
    return refused_by_design


def alternatives(of, at):
    if at.endswith(PROCESSORS):
        return []  # They have a part of their own.
    if of.type_name == "map":
        return [{}, {"ts": "timestamp", "größe": "the size"}]
    if of.type_name == "list":
        return [[value] for value in values(of.member, at)] + [values(of.member, at), []]
    return values(of, at)


def in_context(given, at, value):
    """What must be said besides, for a value to be right."""
    if at == "BufferingHints.SizeInMBs" and given.get("DataFormatConversionConfiguration"):
        given["BufferingHints"]["SizeInMBs"] = max(value, 64)
    if at.endswith("CloudWatchLoggingOptions.LogGroupName") and not value:
        get(given, at.split(".")[:-1])["Enabled"] = False
    return given


def every_processor(streams, member, faults):
    """Each processor type of the model, with each of its parameters; and that no parameter of the model is left out here."""
    one = MODEL.shape_for("Processor").members["Type"].enum
    assert sorted(one) == sorted(PROCESSOR), f"the model has other processors: {one}"
    named = {entry["ParameterName"] for all_of in PROCESSOR.values() for given in all_of for entry in given}
    of_model_too = set(MODEL.shape_for("ProcessorParameter").members["ParameterName"].enum)
    assert named == of_model_too, f"parameters that differ from the model: {named ^ of_model_too}"
    all_bases = bases(member)
    for kind, each in PROCESSOR.items():
        for given in each:
            partitioned = kind in PARTITIONED and member == EXTENDED
            base = copy.deepcopy(all_bases["parquet" if partitioned else "plain"])
            chain = processor(kind, given)
            if partitioned:
                others = (other for other in ("RecordDeAggregation", "Lambda", "MetadataExtraction") if other != kind)
                chain = [*chain, *itertools.chain(*(processor(other, PROCESSOR[other][0]) for other in others))]
            base["ProcessingConfiguration"]["Processors"] = chain
            expected = REFUSED.get((member, PROCESSORS, kind))
            if not expected:
                comes_back(streams, member, f"{kind} {given}", base, faults)
                continue
            _, refused = streams.create(member, base)
            if refused != expected[1:]:
                faults.append(f"{kind}: {refused}, not the error that is by design ({expected[0]})")
    # By design, as AWS does: this one has no parameters, and those that are given are dropped.
    base = copy.deepcopy(all_bases["plain"])
    base["ProcessingConfiguration"]["Processors"] = [{"Type": "AppendDelimiterToRecord", "Parameters": parameters(Delimiter="Cg==")}]
    name, refused = streams.create(member, base)
    shown = not refused and streams.shown(member, name)["ProcessingConfiguration"]["Processors"]
    if shown != [{"Type": "AppendDelimiterToRecord", "Parameters": []}]:
        faults.append(f"AppendDelimiterToRecord with a parameter: {refused or shown}")


def constraints(streams, member, faults):
    """Each constraint of the model, broken at each leaf, in the making of a stream and in an update: a ValidationException that
    names the leaf and the constraint."""
    all_bases, broken = bases(member), 0
    changed, _ = streams.create(member, all_bases["plain"])
    for path, of in leaves(shape("CreateDeliveryStream", member)):
        if of.type_name == "list" and of.member.type_name == "string":
            path, of = (*path, 0), of.member
        if of.type_name in ("map", "list"):
            continue
        base = next(base for base in all_bases.values() if get(base, path) is not None)
        for value, constraint in beyond(of):
            broken += 1
            given = put(base, path, value)
            name, refused = streams.create(member, given)
            faults.extend(unlike(member, path, constraint, refused if not name else "taken"))
            top = UPDATED_AS.get(path[0], path[0])
            refused = streams.update(member, changed, "1", {top: given[path[0]]})
            faults.extend(unlike(UPDATE[member], (top, *path[1:]), constraint, refused or "taken"))
    return broken


def unlike(top, path, constraint, refused):
    """What a refusal lacks."""
    where = ".".join([camel(top), *(f"{name + 1}.member" if isinstance(name, int) else camel(name) for name in path)])
    wanted = f"Value at '{where}' failed to satisfy constraint: {constraint}"
    told = refused[0] == CONSTRAINT and wanted in ENUMERATION.sub(in_order, refused[1])
    return [] if told else [f"{refused}, not {wanted}"]


def required_members(streams, member, faults):
    """A destination with what is required alone is shown with the defaults; without one of those it is refused."""
    of = shape("CreateDeliveryStream", member)

    def least(of, path=""):
        if of.type_name != "structure":
            return values(of, path)[0]
        return {name: least(of.members[name], f"{path}.{name}".lstrip(".")) for name in of.required_members}

    given = least(of)
    wanted = as_shown(member, given) | DEFAULTS[member]
    if member == ENDPOINT:
        wanted["S3DestinationDescription"] = PLAIN_DEFAULTS | wanted["S3DestinationDescription"]
    name, refused = streams.create(member, given)
    faults.extend([f"what is required: {refused}"] if refused else [])
    faults.extend(f"defaults: {one}" for one in (differences(wanted, streams.shown(member, name)) if name else []))
    for needed in of.required_members:
        _, refused = streams.create(member, {key: value for key, value in given.items() if key != needed})
        wanted = f"Value at '{camel(member)}.{camel(needed)}' failed to satisfy constraint: Member must not be null"
        if not refused or refused[0] != CONSTRAINT or wanted not in refused[1]:
            faults.append(f"without {needed}: {refused}")


# ---- updates ----


def merged(member, before, name, given):
    """A destination after an update with one member: section 2 of spec/firehose.md, said once more."""
    after = copy.deepcopy(before)
    if name in UPDATED_AS:
        after.setdefault(name, {}).update(copy.deepcopy(given))
    elif name == "DataFormatConversionConfiguration":
        after[name] = merged_deep(after.get(name, {}), given)
    elif name in ("ProcessingConfiguration", "DynamicPartitioningConfiguration"):
        enabled = {"Enabled": before[name]["Enabled"]} if "Enabled" in before.get(name, {}) else {}
        after[name] = enabled | given
    else:
        after[name] = given
    return after


def merged_deep(before, given):
    if not (isinstance(before, dict) and isinstance(given, dict)):
        return given
    return before | {name: merged_deep(before.get(name), value) for name, value in given.items()}


# Members of which an update cannot say any value, by the error that says so.
FROZEN = {
    (EXTENDED, "S3BackupMode", "Disabled"): (INVALID, "Disabling S3 backup is not currently supported."),
    (EXTENDED, "DynamicPartitioningConfiguration.Enabled", False): (
        INVALID, "Dynamic Partitioning can only be enabled when a Firehose is created, and cannot be disabled afterwards"),
    (ENDPOINT, "SecretsManagerConfiguration.Enabled", True): REFUSED[ENDPOINT, "SecretsManagerConfiguration.Enabled", True][1:],
}
# Updates that say no leaf of one member alone, because the rest of that member would be lost with it and is needed.
WHOLE = ("EncryptionConfiguration", "EndpointConfiguration", "SecretsManagerConfiguration")


def one_change(of, path, base):
    """An update of one leaf: (name of the member, what is given of it, the value), for each value that is another than there is."""
    name, at = path[0], dotted(path)
    for value in alternatives(of, at):
        if value == get(base, path):
            continue
        changed = in_context(put(base, path, value), at, value)[name]
        if len(path) == 1 or any(part in path for part in (*WHOLE, "CloudWatchLoggingOptions", 0)):
            yield changed, value
        else:
            given = value
            for part in reversed(path[1:]):
                given = {part: given}
            # A member that is replaced whole must be right by itself.
            whole = name not in (*UPDATED_AS, "DataFormatConversionConfiguration", "DynamicPartitioningConfiguration")
            yield (changed if whole else within_backup(name, given, changed, path)), value


def within_backup(name, given, changed, path):
    """Of a store within: its members are replaced whole."""
    return {path[1]: changed[path[1]]} if name in UPDATED_AS else given


def updates(streams, member, faults):
    """Each leaf of the model in an update of its own: it changes, and nothing else does."""
    creation, update = shape("CreateDeliveryStream", member), shape("UpdateDestination", UPDATE[member])
    missing = {UPDATED_AS.get(name, name) for name in creation.members} ^ set(update.members)
    assert not missing, f"members of the one that are not of the other: {missing}"
    all_bases, tried = bases(member), 0
    for path, of in leaves(creation):
        names = [name for name in all_bases if get(all_bases[name], path) is not None and name not in ("kms", "off")]
        base = all_bases[(names or ["kms"])[0]]
        for given, value in one_change(of, path, base):
            tried += 1
            updated(streams, member, (base, path, given, value), faults)
    return tried


def updated(streams, member, change, faults):
    base, path, given, value = change
    what, member_name = f"update {dotted(path)} = {str(value)[:40]!r}", path[0]
    name, refused = streams.create(member, base)
    assert name, f"{what}: {refused}"
    refused = streams.update(member, name, "1", {UPDATED_AS.get(member_name, member_name): given})
    frozen = FROZEN.get((member, dotted(path), value if isinstance(value, (str, bool)) else None))
    after = base if frozen else merged(member, base, member_name, given)
    wanted = as_shown(member, after)
    if refused != frozen:
        faults.append(f"{what}: {refused}, not {frozen}")
    else:
        described = streams.describe(name)
        faults.extend(f"{what}: {one}" for one in differences(wanted, streams.shown(member, name)))
        # A map that is merged with an empty one is what it was.
        counted = ("1", False) if after == base else ("2", True)
        if (described["VersionId"], "LastUpdateTimestamp" in described) != counted:
            faults.append(f"{what}: version {described['VersionId']}")
    streams.delete(name)


def rules_of_updates(streams, member, faults):
    """Versions, destinations, what is inherited and what is cleared."""
    base = bases(member)["plain"]
    name, _ = streams.create(member, base)
    for same in ({}, {"BufferingHints": base["BufferingHints"]}, {"ProcessingConfiguration": base["ProcessingConfiguration"]}):
        assert streams.update(member, name, "1", same) is None
        described = streams.describe(name)
        if described["VersionId"] != "1" or "LastUpdateTimestamp" in described:
            faults.append(f"an update that changes nothing raised the version: {same}")
    table = [
        ({"ProcessingConfiguration": {}}, {"Enabled": True}, "omitted Processors are cleared, Enabled is inherited"),
        ({"ProcessingConfiguration": {"Enabled": False}}, {"Enabled": False}, "it can be switched off"),
        (
            {"ProcessingConfiguration": {"Processors": processor("Lambda", PROCESSOR["Lambda"][1])}},
            {"Enabled": False, "Processors": processor("Lambda", PROCESSOR["Lambda"][1])}, "Enabled is inherited",
        ),
    ]
    # Without processors nothing can be enabled: AWS refuses it, and so do we.
    refused = streams.update(member, name, "1", table.pop(0)[0])
    wanted = "A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is enabled."
    if refused != (INVALID, wanted):
        faults.append(f"enabled processing whose processors are cleared: {refused}")
    for version, (update, wanted, what) in enumerate(table, 1):
        refused = streams.update(member, name, str(version), update)
        shown = streams.shown(member, name)["ProcessingConfiguration"]
        if refused or shown != wanted:
            faults.append(f"{what}: {refused} {shown}")
    if member == EXTENDED:
        later, _ = streams.create(member, bases(member)["off"])
        refused = streams.update(member, later, "1", {"S3BackupMode": "Enabled"})
        if refused or streams.shown(member, later)["S3BackupMode"] != "Enabled":
            faults.append(f"a backup cannot be enabled later: {refused}")
    refused = streams.update(member, name, "1", {"BufferingHints": {"SizeInMBs": 9, "IntervalInSeconds": 99}})
    stale = f"Cannot update firehose: {name} since the current version id: 3 and specified version id: 1 do not match"
    if refused != ("ConcurrentModificationException", stale):
        faults.append(f"a version that is past: {refused}")
    # Replaced whole: what is not said of it is as it is by default.
    assert streams.update(member, name, "3", {"BufferingHints": {"SizeInMBs": 9}}) is None
    if streams.shown(member, name)["BufferingHints"] != {"SizeInMBs": 9, "IntervalInSeconds": 300}:
        faults.append(f"buffering hints are replaced whole: {streams.shown(member, name)}")
    try:
        streams.client.update_destination(
            DeliveryStreamName=name, CurrentDeliveryStreamVersionId="4", DestinationId="other", **{UPDATE[member]: {}}
        )
        faults.append("another destination can be changed")
    except ClientError as error:
        if refusal(error) != (INVALID, "Destination Id other not found"):
            faults.append(f"another destination: {refusal(error)}")


# ---- the whole ----


def plain_form(streams, faults):
    """The plain S3 destination with every member: shown in both forms."""
    given = full(shape("CreateDeliveryStream", "S3DestinationConfiguration"), "", without("KMSEncryptionConfig"))
    name, refused = streams.create("S3DestinationConfiguration", given)
    wanted = given | {"S3BackupMode": "Disabled"}
    found = [f"refused: {refused}"] if refused else differences(wanted, streams.shown(EXTENDED, name))
    faults.extend(f"plain form: {one}" for one in found)


def over_a_kill(standpipe, streams, member, faults):
    """What was made is shown as before by the next process."""
    names = [streams.create(member, base)[0] for base in bases(member).values()]
    before = {name: streams.describe(name) for name in names}
    standpipe.kill()
    standpipe.start()
    after = {name: streams.describe(name) for name in names}
    faults.extend(f"after a kill: {one}" for one in differences(before, after))


def of_model(place, member):
    place.store.bucket(f"model-{member[:4].lower()}")
    buckets = (
        f'[buckets]\ntype = "s3"\nendpoint = "{place.store.endpoint}"\nregion = "{service.REGION}"\npath_style = true\n'
        f'credentials = {{ access_key_id = "{s3.KEY}", secret_access_key = "{s3.SECRET}" }}\n'
        '[plugin.keep]\nurl = "http://127.0.0.1:1/2015-03-31/functions/function/invocations"\n'
    )
    faults = []
    with Glue(place) as glue:
        glue.table(DATABASE, TABLE, {"tenant": "string", "n": "bigint"})
        standpipe = service.Service(place.folder, [], buckets)
        standpipe.environment = glue.environment
        with standpipe:
            # Values outside of the model are sent: the service must find them.
            streams = Streams(standpipe.client(validate=False))
            not_tried = every_value(streams, member, faults)
            every_processor(streams, member, faults)
            left = [key for key in not_tried if key[0] == member and key[1] != PROCESSORS]
            assert not left, f"refused by design, and never tried: {left}"
            required_members(streams, member, faults)
            broken = constraints(streams, member, faults)
            tried = updates(streams, member, faults)
            rules_of_updates(streams, member, faults)
            if member == EXTENDED:
                plain_form(streams, faults)
            over_a_kill(standpipe, streams, member, faults)
    assert not faults, f"{len(faults)} differences:\n  " + "\n  ".join(faults)
    return {"streams": streams.made, "constraints": broken, "updates": tried}


def model_s3(place):
    """Every member, enumeration and range of boto3's model of an extended S3 destination: created, described, updated, compared."""
    return of_model(place, EXTENDED)


def model_endpoint(place):
    """The same of an HTTP endpoint destination."""
    return of_model(place, ENDPOINT)


CHECKS = [model_s3, model_endpoint]
