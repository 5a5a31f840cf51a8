// The dashboard as people see it: a whole gateway under load, and a real Chromium that looks at it.
import { accessSync, constants, mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium, type Page } from 'playwright-core'
import t from 'tap'
import { startGateway } from '../../src/cli/serve/gateway.js'
import { realIo } from '../../src/cli/process.js'
import { configFrom } from '../../src/config/index.js'
import { readAssets, type Message, type Snapshot } from '../../src/dashboard/index.js'
import { startEmulator } from '../../src/emulator/index.js'
import { createAdminPlane } from '../../src/gateway/index.js'
import { startLoad } from '../helpers/load.js'

const SHOTS = fileURLToPath(new URL('../../out/dashboard/', import.meta.url))
const TOKEN = 'a-token-for-this-test'
const HOSTILE = '<img src=x onerror="document.title=1">'

const browserPath = () => ['chromium', 'chromium-browser', 'google-chrome'].flatMap(name => (process.env['PATH'] ?? '').split(delimiter).map(folder => join(folder, name))).find(path => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
})

/** What a page gets, one message a second. */
async function * messages (url: string): AsyncGenerator<Message> {
  const response = await fetch(`${url}/api/dashboard`)
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      yield JSON.parse(text.slice('data: '.length, end)) as Message
      text = text.slice(end + 2)
    }
  }
}

/** The picture that a page gets first. */
const snapshot = async (url: string): Promise<Snapshot> => {
  for await (const message of messages(url)) return message.snapshot
  throw new Error('the feed ended before its first message')
}

const within = async (seconds: number, what: string, test: () => Promise<boolean>) => {
  const start = performance.now()
  while (!await test()) {
    if (performance.now() - start > seconds * 1000) throw new Error(`not within ${seconds} s: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  return (performance.now() - start) / 1000
}

t.test('the page is small, whole, and holds nothing inline', async t => {
  const assets = readAssets()
  const bytes = assets.reduce((sum, { body }) => sum + body.length, 0)
  t.ok(bytes < 200 * 1024, `${bytes} bytes`)
  const html = assets.find(({ path }) => path === '/')!.body.toString()
  t.notMatch(html, /<script(?![^>]* src=)|<style| style=| on[a-z]+=/i)
  t.notMatch(assets.map(({ body }) => body.toString()).join(''), /https?:\/\/(?!www\.w3\.org)|innerHTML|eval\(/)
  const named = assets.flatMap(({ body }) => [...body.toString().matchAll(/(?:from|src=|href=) ?['"]\.?(\/[\w/]+\.(?:js|css))['"]/g)].map(([, path]) => path!.startsWith('/dashboard') ? path! : `/dashboard${path!}`))
  t.same([...new Set(named)].filter(path => !assets.some(asset => asset.path === path)), [], 'every file that another one names is served')
})

t.test('off loopback the empty page is for everybody, its figures are not', async t => {
  const config = configFrom({ admin: { host: '0.0.0.0', token: TOKEN }, auth: 'none' })
  const telemetry = { ledger: { classes: () => [], totals: () => ({}) }, onFinished: () => () => {}, audit: () => {}, log: { child: () => telemetry.log, info: () => {}, error: () => {}, warn: () => {}, debug: () => {}, trace: () => {}, fatal: () => {} } }
  const app = createAdminPlane({ config: () => config, telemetry, fleet: { backends: [], pools: [], snapshot: () => [] }, runtime: { draining: false }, clock: { now: () => 0 }, version: '1', reload: async () => {} } as never)
  t.teardown(() => app.close())
  const page = await app.inject('/')
  t.equal(page.statusCode, 200)
  t.match(page.headers, { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': /default-src 'none'.*frame-ancestors 'none'/, 'x-content-type-options': 'nosniff' })
  t.equal((await app.inject('/dashboard/main.js')).headers['content-type'], 'text/javascript; charset=utf-8')
  t.equal((await app.inject('/api/dashboard')).statusCode, 401)
  t.equal((await app.inject('/dashboard/../package.json')).statusCode, 401)
})

const browser = browserPath()

t.test('Chromium shows what goes on', { skip: browser === undefined && 'no Chromium on this machine; on Debian: apt-get install chromium' }, async t => {
  const servers = await Promise.all([1, 2, 3].map(seed => startEmulator({ engine: 'vllm', clock: realIo.clock, model: 'llama', seed, speed: 0.5 })))
  t.teardown(async () => { await Promise.all(servers.map(server => server.stop())) })
  const config = configFrom({
    listen: { port: 0 }, admin: { port: 0, token: TOKEN }, log: { level: 'silent' }, scheduling: { policy: 'round-robin' }, admission: { mode: 'off' },
    pools: { main: { backends: servers.map(({ url }, i) => ({ url, name: `gpu-${i + 1}`, engine: 'vllm', cost_per_hour: 2 })) } },
    classes: { chat: { ttft: '2s', tpot: '60ms' }, code: { ttft: '5ms', tpot: '60ms' } },
    routes: [{ match: { header: { 'x-workload': 'ide' } }, class: 'code' }, { match: { path: '/v1/chat/completions' }, class: 'chat' }],
  })
  const gateway = await startGateway(config, realIo, '0.0.0-test', async () => {})
  let running = true
  const stopGateway = async () => {
    if (running) await gateway.stop()
    running = false
  }
  t.teardown(stopGateway)
  let asked = 0
  const load = startLoad(9, () => {
    asked++
    return {
      url: `${gateway.dataUrl}/v1/chat/completions`,
      headers: asked % 3 === 0 ? { 'x-workload': 'ide' } : {},
      body: { model: asked === 5 ? HOSTILE : 'llama', messages: [{ role: 'user', content: 'Tell me about rivers. '.repeat(10) }], max_tokens: 40, stream: true },
    }
  })
  t.teardown(() => load.stop())
  const opened = await chromium.launch({ executablePath: browser!, args: ['--no-sandbox', '--disable-gpu'] })
  t.teardown(() => opened.close())
  const page: Page = await opened.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: 'light' })
  page.setDefaultTimeout(10_000)
  const complaints: string[] = []
  const elsewhere: string[] = []
  page.on('console', message => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()) })
  page.on('pageerror', error => { complaints.push(String(error)) })
  page.on('request', request => { if (!request.url().startsWith(gateway.adminUrl) && !request.url().startsWith('data:')) elsewhere.push(request.url()) })
  await page.goto(`${gateway.adminUrl}/`)
  mkdirSync(SHOTS, { recursive: true })
  const shot = (name: string) => page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true })
  const verdict = () => page.locator('#verdict').innerText()
  const badge = (backend: string) => page.locator(`tr[data-key=${backend}] .state`)
  const show = async (tab: string) => {
    await page.click(`#tab-${tab}`)
    await page.locator(`#${tab} > *`).first().waitFor()
  }

  await t.test('whether promises are kept, and by whom not', async t => {
    await within(15, 'the verdict', async () => /code misses its objective/.test(await verdict()))
    t.match(await verdict(), /code: \d+ of \d+ broke their promise in the last minute, most of them missed ttft/)
  })

  await t.test('a backend that becomes four times slower is named, with who pays', async t => {
    // Until the backends have a past to be held against.
    await show('fleet')
    await within(40, 'a past', async () => (await snapshot(gateway.adminUrl)).backends.every(({ curve }) => curve.length > 0))
    t.equal(await page.locator('.calm').count(), 1, 'no fault before there is one')
    // Everything runs in this process, so seconds are told by the looks that the gateway had: a busy machine takes from both alike.
    let looks = 0, injectedMs = Infinity, found: { looks: number, atMs: number, sinceMs: number, others: string[] } | undefined
    for await (const { snapshot: { uptimeMs, faults } } of messages(gateway.adminUrl)) {
      if (injectedMs === Infinity) {
        await servers[1]!.control.setFaults({ slowFactor: 4 })
        injectedMs = uptimeMs
        continue
      }
      looks++
      const fault = faults.find(({ backend }) => backend === 'gpu-2')
      if (fault !== undefined) found = { looks, atMs: uptimeMs, sinceMs: uptimeMs - fault.ageMs, others: faults.flatMap(({ backend, phase }) => phase === 'decode' ? [backend] : []) }
      if (fault !== undefined || looks === 15) break
    }
    t.ok(found !== undefined && found.looks <= 5, `known after ${found?.looks} seconds of data`)
    t.same(found?.others, ['gpu-2'])
    t.ok(found!.sinceMs >= injectedMs - 1 && found!.sinceMs < found!.atMs, 'since when')
    const seconds = await within(15, 'the page to say so', async () => /gpu-2 makes tokens .* slower/.test(await verdict()))
    t.comment(`known after ${found!.looks} looks, on the page ${seconds.toFixed(1)} s later`)
    await within(10, 'who pays', async () => /(chat|code) pays/.test(await verdict()))
    t.match(await verdict(), /gpu-2 makes tokens .* slower than (it used to at this load|the rest of its pool) .*, for \d+ s/)
    t.match(await badge('gpu-2').innerText(), /^slow [\d.]+×$/, 'nor is it called up')
    t.match(await page.locator('tr[data-key=gpu-2]').innerText(), /slow tokens for \d+ s/)
    t.same([await badge('gpu-1').innerText(), await badge('gpu-3').innerText()], ['up', 'up'])
    t.notMatch(await verdict(), /gpu-[13] makes/)
    await shot('fleet-light')
  })

  await t.test('charts have data', async t => {
    await show('overview')
    await page.locator('#overview .chart path.line').nth(6).waitFor({ state: 'attached' })
    const drawn = await page.locator('#overview .chart path.line').evaluateAll(paths => paths.map(path => (path.getAttribute('d') ?? '').split('L').length))
    t.ok(drawn.every(points => points > 5), `points: ${drawn.join(', ')}`)
    await shot('overview-light')
    await show('latency')
    t.ok(await page.locator('#latency .bin').count() > 20, 'distributions')
    t.ok(await page.locator('#latency .point').count() >= 4, 'the matrix')
    t.match(await page.locator('#latency .phases').innerText(), /acknowledge[^]*flow[^]*complete/)
    await shot('latency-light')
    await show('tuning')
    t.equal(await page.locator('#tuning .advice li').count(), 8)
  })

  await t.test('keyboard, views, theme and phone', async t => {
    await page.focus('#tab-tuning')
    await page.keyboard.press('Home')
    t.equal(await page.evaluate('document.activeElement.id'), 'tab-overview')
    await page.keyboard.press('ArrowRight')
    t.ok(await page.isVisible('#latency'))
    t.notOk(await page.isVisible('#overview'))
    await page.selectOption('#persona', 'class:code')
    await page.locator('#latency .who b', { hasText: 'class code' }).waitFor()
    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
    const light = await background()
    await page.click('#theme')
    t.not(await background(), light)
    await show('overview')
    await shot('overview-dark')
    await page.setViewportSize({ width: 390, height: 844 })
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), 390, 'nothing is wider than a phone')
    await shot('overview-phone')
    await page.setViewportSize({ width: 1440, height: 900 })
  })

  await t.test('numbers equal /metrics once nothing runs', async t => {
    await load.stop()
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
    const sum = (pattern: RegExp) => [...metrics.matchAll(pattern)].reduce((total, [, value]) => total + Number(value), 0)
    const met = sum(/^sluice_requests_total\{[^}]*class="code"[^}]*outcome="met"\} (\S+)$/gm)
    const missed = sum(/^sluice_requests_total\{[^}]*class="code"[^}]*outcome="missed_(?:ttft|both)"\} (\S+)$/gm)
    t.ok(missed > 0)
    const shown = async () => Object.fromEntries(await page.locator('section.panel', { hasText: /^Outcomes/ }).locator('.bars li').evaluateAll(rows => rows.map(row => [row.querySelector('span')!.textContent, row.querySelector('b')!.textContent])))
    await within(5, 'the last outcome', async () => {
      const outcomes = await shown()
      return Number(outcomes['missed ttft'] ?? 0) + Number(outcomes['missed both'] ?? 0) === missed && Number(outcomes['met'] ?? 0) === met
    })
    const [, attainment] = /^sluice_slo_attainment_ratio\{class="code",window="5m"\} (\S+)$/m.exec(metrics)!
    t.equal(await page.locator('[data-key="class:code"] .att b').innerText(), `${(Number(attainment) * 100).toFixed(Number(attainment) % 1 === 0 ? 0 : 1)} %`)
  })

  await t.test('requests, with the decision; what clients send stays text', async t => {
    await show('requests')
    await page.waitForSelector('details.request')
    await page.locator('details.request summary').first().click()
    t.match(await page.locator('details.request[open] .story').innerText(), /Policy round-robin chose gpu-\d[^]*gateway itself/)
    await page.selectOption('select[data-arg=outcome]', 'rejected')
    await page.locator('#requests', { hasText: HOSTILE }).waitFor()
    t.equal(await page.locator('main img').count(), 0)
    t.not(await page.title(), '1')
  })

  await t.test('an operator drains a backend, with the token alone', async t => {
    await show('fleet')
    await page.click('button[data-act=drain][data-arg=gpu-1]')
    await page.fill('#ask-token', 'wrong')
    await page.keyboard.press('Enter')
    await page.locator('#toast', { hasText: /token/ }).waitFor()
    await page.click('button[data-act=drain][data-arg=gpu-1]')
    await page.fill('#ask-token', TOKEN)
    await page.click('#ask .main')
    await page.waitForSelector('button[data-act=undrain][data-arg=gpu-1]')
    t.match(await verdict(), /gpu-1 has been draining for/)
    t.same(await page.evaluate('({ ...localStorage })'), { 'sluice-theme': 'dark' }, 'the token is not kept beyond the tab')
    // The refused token is the one complaint that there has to be.
    t.same(complaints.filter(text => !text.includes('401')), [], 'no complaint in the console')
    t.same(elsewhere, [], 'nothing from elsewhere')
  })

  await t.test('a gateway that is gone is said to be', async () => {
    await stopGateway()
    await page.locator('#link', { hasText: 'no answer' }).waitFor()
  })
})
