import t from 'tap'
import type { Tenant } from '../../src/gateway/context.js'
import { promise } from '../../src/gateway/slo.js'

const classes = { chat: { ttft: 500, tpot: 50 }, batch: {} } as unknown as Parameters<typeof promise>[1]['classes']
const anybody: Tenant = { name: 'anonymous', key: undefined, limits: undefined }
const promised = (headers: Record<string, string>, routeClass = 'chat') => promise(routeClass, { classes }, headers, anybody)

t.test('a client\'s targets stand in place of its class\'s, each by itself', async t => {
  t.strictSame(promised({}).targets, { ttftMs: 500, tpotMs: 50 })
  t.strictSame(promised({ 'x-slo-tpot-ms': '20' }).targets, { ttftMs: 500, tpotMs: 20 })
  t.strictSame(promised({ 'x-slo-ttft-ms': '900', 'x-slo-deadline-ms': '9000' }).targets, { ttftMs: 900, tpotMs: 50, deadlineMs: 9000 })
  t.strictSame(promised({ 'x-slo-deadline-ms': '9000' }, 'batch').targets, { deadlineMs: 9000 })
  t.strictSame(promised({}, 'none such').targets, {})
  t.strictSame(promised({}).targets, { ttftMs: 500, tpotMs: 50 }, 'what one client asks for is not another\'s')
})

t.test('how long an SDK listens is no target', async t => {
  t.strictSame(promised({ 'x-stainless-timeout': '600' }), { class: 'chat', targets: { ttftMs: 500, tpotMs: 50 }, clientTimeoutMs: 600_000 })
  t.strictSame(promised({ 'x-stainless-timeout': '600', 'x-slo-deadline-ms': '5' }), { class: 'chat', targets: { ttftMs: 500, tpotMs: 50, deadlineMs: 5 }, clientTimeoutMs: undefined })
})
