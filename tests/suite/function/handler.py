"""A handler as AWS documents it for Firehose, for the python3 runtimes: it knows nothing of where it runs."""

import base64
import json

print("loading function")
invocations = 0


def lambda_handler(event, context):
    global invocations
    invocations += 1
    output = []
    for record in event["records"]:
        payload = json.loads(base64.b64decode(record["data"]).decode("utf-8"))
        if "explode" in payload and context.get_remaining_time_in_millis() > 0:
            raise ValueError(f"cannot process record {record['recordId']}")
        if payload["n"] % 10 == 3:
            output.append({"recordId": record["recordId"], "result": "ProcessingFailed", "data": record["data"]})
            continue
        if payload["n"] % 10 == 7:
            output.append({"recordId": record["recordId"], "result": "Dropped", "data": record["data"]})
            continue
        payload["by"] = f"python {context.aws_request_id} {invocations}"
        row = json.dumps(payload) + "\n"
        output.append({
            "recordId": record["recordId"],
            "result": "Ok",
            "data": base64.b64encode(row.encode("utf-8")).decode("utf-8"),
        })
    print(f"successfully processed {len(event['records'])} records")
    return {"records": output}
