// One streamed call, and what its client can say of how it ended.
import { Agent, request as httpRequest } from 'node:http'

export type Ending = 'complete' | 'told' | 'cut' | 'refused' | 'failed' | 'left' | 'truncated'

export interface Seen {
  readonly id: string
  /** `told`: an error event; `cut`: the connection broke; `refused`: 4xx; `failed`: 5xx; `truncated`: looks whole and is not. */
  readonly ending: Ending
  readonly text: string
  readonly code: string | undefined
}

const agent = new Agent({ keepAlive: true })

/** Closes the connections kept for the next call. */
export const leaveNothing = (): void => { agent.destroy() }

export const ask = (url: string, id: string, body: object, headers: Record<string, string>, leaveAfterMs: number | undefined): Promise<Seen> => new Promise(resolve => {
  let bytes = ''
  let left = false
  let timer: NodeJS.Timeout | undefined
  const end = (ending: Ending, text = '', code?: string) => {
    clearTimeout(timer)
    resolve({ id, ending: left ? 'left' : ending, text, code })
  }
  const call = httpRequest(url, { method: 'POST', agent, headers: { 'content-type': 'application/json', 'x-request-id': id, ...headers } }, response => {
    response.setEncoding('utf8')
    response.on('data', (piece: string) => { bytes += piece })
    response.on('error', () => {})
    response.on('close', () => {
      const status = response.statusCode!
      if (status !== 200) return end(status < 500 ? 'refused' : 'failed', '', /"code":"(\w+)"/.exec(bytes)?.[1])
      if (!response.complete) return end('cut')
      const { text, done, error } = read(bytes)
      end(error !== undefined ? 'told' : done ? 'complete' : 'truncated', text, error)
    })
  })
  call.on('error', () => { end('cut') })
  call.end(JSON.stringify(body))
  if (leaveAfterMs !== undefined) {
    timer = setTimeout(() => {
      left = true
      call.destroy()
      end('left')
    }, leaveAfterMs)
  }
})

function read(bytes: string): { text: string, done: boolean, error: string | undefined } {
  let text = ''
  let done = false
  let error: string | undefined
  for (const event of bytes.split('\n\n')) {
    if (!event.startsWith('data: ')) continue
    if (event === 'data: [DONE]') {
      done = true
      continue
    }
    try {
      const chunk = JSON.parse(event.slice(6)) as { error?: { code?: unknown }, choices?: { delta?: { content?: string }, text?: string }[] }
      if (chunk.error !== undefined) error = String(chunk.error.code)
      else text += chunk.choices?.[0]?.delta?.content ?? chunk.choices?.[0]?.text ?? ''
    } catch {
      // A backend's garbage, passed on as it was.
    }
  }
  return { text, done, error }
}
