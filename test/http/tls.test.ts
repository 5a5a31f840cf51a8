// TLS on both listeners, client certificates, TLS to backends, and certificates that are renewed by a reload.
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createTlsServer, request as httpsRequest, type RequestOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { startGateway } from '../../src/cli/serve/gateway.js'
import { configFrom } from '../../src/config/index.js'
import { CHAT } from '../helpers/client.js'
import { liveIo } from '../helpers/io.js'

const FIXTURES = fileURLToPath(new URL('../fixtures/tls/', import.meta.url))
const file = (name: string) => join(FIXTURES, name)
const pem = (name: string) => readFile(file(name))

const ask = async (url: string, options: RequestOptions & { body?: string } = {}) => {
  const { body, ...more } = options
  return await new Promise<{ status: number, peer: string, text: string }>((resolve, reject) => {
    const call = httpsRequest(url, { agent: false, method: body === undefined ? 'GET' : 'POST', headers: { 'content-type': 'application/json' }, ...more }, answer => {
      const peer = String((answer.socket as TLSSocket).getPeerCertificate().subject?.CN)
      let text = ''
      answer.on('data', piece => { text += String(piece) })
      answer.on('end', () => { resolve({ status: answer.statusCode!, peer, text }) })
    })
    call.on('error', reject)
    call.end(body)
  })
}

/** A model server that speaks TLS, and tells who connected. */
const tlsBackend = async (t: Test, name: string, clients: { ca: Buffer } | undefined) => {
  const seen: string[] = []
  const server = createTlsServer({ cert: await pem(`${name}.pem`), key: await pem(`${name}.key`), ...(clients === undefined ? {} : { ...clients, requestCert: true }) }, (request, response) => {
    seen.push(String((request.socket as TLSSocket).getPeerCertificate().subject?.CN))
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(request.url === '/v1/models' ? '{"object":"list","data":[{"id":"m"}]}' : '{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}')
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { server.close(); server.closeAllConnections() })
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}

const gatewayOf = async (t: Test, written: Record<string, unknown>) => {
  const full = { listen: { port: 0 }, admin: { port: 0 }, log: { level: 'silent' }, ...written }
  const gateway = await startGateway(configFrom(full), liveIo(), '0', () => Promise.resolve())
  t.teardown(() => gateway.stop())
  return { gateway, reload: (more: Record<string, unknown>) => { gateway.configure(configFrom({ ...full, ...more })) } }
}

t.test('both listeners speak TLS; a reload renews the certificate for new connections', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-tls-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const use = async (name: string) => { for (const end of ['pem', 'key']) await copyFile(file(`${name}.${end}`), join(folder, `own.${end}`)) }
  await use('server')
  const tls = { cert: join(folder, 'own.pem'), key: join(folder, 'own.key') }
  const { gateway, reload } = await gatewayOf(t, { listen: { port: 0, tls }, admin: { port: 0, tls } })
  const ca = await pem('ca.pem')
  t.match(gateway.dataUrl, /^https:/)
  const urls = [`${gateway.dataUrl}/v1/models`, `${gateway.adminUrl}/livez`]
  for (const url of urls) {
    t.match(await ask(url, { ca }), { status: 200, peer: 'server one' })
    await t.rejects(ask(url), 'who does not know the authority does not go on')
  }
  await use('server-2')
  reload({ listen: { port: 0, tls }, admin: { port: 0, tls } })
  for (const url of urls) t.match(await ask(url, { ca }), { status: 200, peer: 'server two' })

  await copyFile(file('stranger.key'), tls.key)
  t.throws(() => { reload({ listen: { port: 0, tls } }) }, /listen\.tls: `key` is not the key of `cert`/)
  await copyFile(file('ca.pem'), tls.key)
  t.throws(() => { reload({ listen: { port: 0, tls } }) }, /listen\.tls: the files cannot be used: each must be PEM/)
  for (const url of urls) t.match(await ask(url, { ca }), { status: 200, peer: 'server two' }, 'a bad one leaves the old')
})

t.test('with `ca` clients must show a certificate of that authority, a reload without it included', async t => {
  const tls = { cert: file('server.pem'), key: file('server.key'), ca: file('ca.pem') }
  const { gateway, reload } = await gatewayOf(t, { listen: { port: 0, tls }, admin: { port: 0, tls } })
  const ca = await pem('ca.pem')
  const client = { ca, cert: await pem('client.pem'), key: await pem('client.key') }
  const stranger = { ca, cert: await pem('stranger.pem'), key: await pem('stranger.key') }
  const check = async () => {
    for (const url of [`${gateway.dataUrl}/v1/models`, `${gateway.adminUrl}/livez`]) {
      t.match(await ask(url, client), { status: 200 })
      await t.rejects(ask(url, { ca }), 'none')
      await t.rejects(ask(url, stranger), 'a stranger\'s')
    }
  }
  await check()
  const { ca: _, ...without } = tls
  reload({ listen: { port: 0, tls: without }, admin: { port: 0, tls: without } })
  await check()
})

t.test('backends are verified: by the given authority, by name, and they may ask for our certificate', async t => {
  const ca = await pem('ca.pem')
  const [good, other, asking] = [await tlsBackend(t, 'server', undefined), await tlsBackend(t, 'elsewhere', undefined), await tlsBackend(t, 'server', { ca })]
  const status = async (backend: object) => {
    const { gateway } = await gatewayOf(t, { pools: { main: { backends: [{ name: 'b', models: ['m'], ...backend }] } }, health: { interval: '1h' }, timeouts: { connect: '2s' } })
    const answer = await fetch(`${gateway.dataUrl}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: CHAT() })
    await answer.arrayBuffer()
    const passed = await fetch(`${gateway.dataUrl}/version`)
    await passed.arrayBuffer()
    return [answer.status, passed.status]
  }
  const authority = { ca: file('ca.pem') }
  t.same(await status({ url: good.url, tls: authority }), [200, 200])
  t.same(await status({ url: good.url }), [503, 503], 'an unknown authority')
  t.same(await status({ url: other.url, tls: authority }), [503, 503], 'a certificate for another name')
  t.same(await status({ url: asking.url, tls: authority }), [503, 503], 'no certificate of ours')
  t.same(asking.seen, [])
  t.same(await status({ url: asking.url, tls: { ...authority, cert: file('client.pem'), key: file('client.key') } }), [200, 200])
  t.ok(asking.seen.length >= 2 && asking.seen.every(name => name === 'client'))
  t.same(other.seen, [], 'nothing is said to a server that is not who it should be')
})
