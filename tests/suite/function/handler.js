// A handler as AWS documents it for Firehose, for the nodejs runtimes: it knows nothing of where it runs.
'use strict';
console.log('loading function');
let invocations = 0;

exports.handler = async (event, context) => {
    invocations += 1;
    const output = event.records.map((record) => {
        const payload = JSON.parse(Buffer.from(record.data, 'base64').toString('utf8'));
        if ('explode' in payload && context.getRemainingTimeInMillis() > 0) {
            throw new TypeError(`cannot process record ${record.recordId}`);
        }
        if (payload.n % 10 === 3) {
            return { recordId: record.recordId, result: 'ProcessingFailed', data: record.data };
        }
        if (payload.n % 10 === 7) {
            return { recordId: record.recordId, result: 'Dropped', data: record.data };
        }
        payload.by = `node ${context.awsRequestId} ${invocations}`;
        const row = JSON.stringify(payload) + '\n';
        return { recordId: record.recordId, result: 'Ok', data: Buffer.from(row, 'utf8').toString('base64') };
    });
    console.log(`successfully processed ${output.length} records`);
    return { records: output };
};
