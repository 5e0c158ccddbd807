// Runs a handler over Lambda's runtime API: bootstrap.js FILE FUNCTION, with AWS_LAMBDA_RUNTIME_API in the environment.
'use strict';
const path = require('node:path');
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;
const handler = require(path.resolve(process.argv[2]))[process.argv[3]];

const post = (where, body) => fetch(`${api}/${where}`, { method: 'POST', body: JSON.stringify(body) });

(async () => {
    for (;;) {
        const next = await fetch(`${api}/invocation/next`);
        const event = await next.json();
        const deadline = Number(next.headers.get('lambda-runtime-deadline-ms'));
        const context = {
            awsRequestId: next.headers.get('lambda-runtime-aws-request-id'),
            invokedFunctionArn: next.headers.get('lambda-runtime-invoked-function-arn'),
            getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
        };
        const invocation = `invocation/${context.awsRequestId}`;
        try {
            await post(`${invocation}/response`, await handler(event, context));
        } catch (error) {
            await post(`${invocation}/error`, { errorType: error.name, errorMessage: error.message, trace: [] });
        }
    }
})();
