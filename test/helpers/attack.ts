// What attack tests share: one gateway with keys in front of one scripted backend, and bytes as an attacker would write them.
import type { Test } from 'tap'
import { raw } from './client.js'
import { startGateway } from './gateway.js'
import { goodChat, scriptedUpstream, type Script } from './upstream.js'

export const BACKEND_KEY = 'backend-secret-4711'

export const underAttack = async (t: Test, more: Record<string, unknown> = {}, script: Script = goodChat(), options: Parameters<typeof startGateway>[2] = {}) => {
  const upstream = await scriptedUpstream(script)
  t.teardown(() => upstream.close())
  const backend = { url: upstream.url, name: 'b1', engine: 'vllm', models: ['m'], api_key: BACKEND_KEY }
  const written = { pools: { main: { backends: [backend] } }, ...more }
  const gateway = await startGateway(t, written, options)
  return { upstream, gateway, written, chat: `${gateway.url}/v1/chat/completions`, bytes: (text: string) => raw(gateway.port, text) }
}

export const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` })

export const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1])

/** A POST as bytes, with these lines in its head. */
export const post = (path: string, lines: readonly string[], body: string, length = Buffer.byteLength(body)): string =>
  `POST ${path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\nconnection: close\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n${body}`
