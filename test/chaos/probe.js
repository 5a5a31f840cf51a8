// Loaded into a program under test (`node --expose-gc --import`), as no part of it: tells its memory and the number of
// objects in it, and how a server's answers ended.
import { subscribe } from 'node:diagnostics_channel'
import { queryObjects } from 'node:v8'

/**
 * Of each answer: its request's id, when that came and when the answer closed (microseconds of the machine's clock), and whether all of it
 * had gone out. Undefined while nobody wants to know: kept for nobody, they would grow without end in the memory that is told here.
 */
let answers
const nowUs = () => Number(process.hrtime.bigint() / 1000n)
const note = ({ request, response }) => {
  const id = request.headers['x-request-id']
  if (id === undefined) return
  const cameAtUs = nowUs()
  response.once('close', () => { answers.push([id, cameAtUs, nowUs(), response.writableFinished]) })
}

const memory = () => {
  const rssBefore = process.memoryUsage.rss()
  globalThis.gc()
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rssBefore, rss, heapUsed, external, sockets: process.getActiveResourcesInfo().filter(name => name === 'TCPSocketWrap').length }
}

process.on('message', wanted => {
  if (wanted === 'memory') process.send(memory())
  if (wanted === 'objects') process.send(queryObjects(Object, { format: 'count' }))
  if (wanted === 'answers') {
    if (answers === undefined) subscribe('http.server.request.start', note)
    process.send(answers ?? [])
    answers = []
  }
})
// Being able to ask must not keep it alive.
process.channel?.unref()
