// An OTLP/HTTP receiver as a process: takes JSON on /v1/traces and /v1/metrics, shows all of it on GET /. `--hang`: never answers.
import { createServer } from 'node:http'

const hang = process.argv.includes('--hang')
const seen = { traces: [], metrics: [], faults: [] }
const server = createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  if (request.method === 'GET') return response.end(JSON.stringify(seen))
  try {
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    if (request.url === '/v1/traces') seen.traces.push(...body.resourceSpans)
    else if (request.url === '/v1/metrics') seen.metrics.push(...body.resourceMetrics)
    else seen.faults.push(request.url)
  } catch (error) {
    seen.faults.push(error.message)
  }
  if (!hang) response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
})
server.listen(0, '127.0.0.1', () => { console.log(`http://127.0.0.1:${server.address().port}`) })
