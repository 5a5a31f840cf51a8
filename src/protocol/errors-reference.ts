import { ERROR_CODES, ERRORS, errorBody, type FaultDomain } from './errors.js'

const DOMAINS: Readonly<Record<FaultDomain, string>> = {
  caller: 'The request has to change.',
  policy: 'The request is fine; the gateway has no room for it within its targets now. Every answer carries `retry-after`.',
  backend: 'A model server failed or none was there.',
  gateway: 'The gateway itself.',
}

/** docs/errors.md, out of the table of errors. */
export function errorsReference (): string {
  const sections = (Object.keys(DOMAINS) as FaultDomain[]).map(domain => {
    const rows = ERROR_CODES.filter(code => ERRORS[code].domain === domain).map(code => {
      const { status, otherStatuses, type, message, hint } = ERRORS[code]
      return `| \`${code}\` | ${[status, ...otherStatuses].join(', ')} | \`${type}\` | ${message} | ${hint} |`
    })
    return `## ${domain}\n\n${DOMAINS[domain]}\n\n| code | status | type | meaning | what to do |\n|---|---|---|---|---|\n${rows.join('\n')}\n`
  })
  return `<!-- Generated from src/protocol/errors.ts by \`npm run gen\`. Edit there. -->
# Errors

Every error is JSON in the shape that the path's clients expect, and carries one \`code\` of the list below:

| path | shape |
|---|---|
| \`/v1/messages\` | \`${errorBody('anthropic', 'queue_full', '…')}\` |
| \`/generate\`, \`/generate_stream\`, \`/\` | \`${errorBody('tgi', 'queue_full', '…')}\` |
| all others, and \`/generate\` with a body in SGLang's form | \`${errorBody('openai', 'queue_full', '…')}\` |

A refusal also carries \`x-sluice-reason\`, and where a retry makes sense \`retry-after\` and \`retry-after-ms\`; \`x-should-retry: false\`
tells SDKs that one cannot succeed in time. Once a stream has begun, an error comes as its last event (\`data: {"error": …}\`, with
\`event: error\` on \`/v1/messages\` and \`/v1/responses\`) and no \`[DONE]\` follows. 408 is never used, since SDKs repeat it blindly. Where a
code has several statuses the first is the usual one and the others are HTTP's more precise ones (404 no such path, 405 wrong method, 411 no
length, 422 not processable).

${sections.join('\n')}`
}
