import t from 'tap'
import { nearest } from '../../src/config/nearest.js'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/config/units.js'

t.test('durations and sizes', async t => {
  for (const [text, ms] of [['500ms', 500], ['2s', 2_000], ['10m', 600_000], ['1.5h', 5_400_000], ['1m30s', 90_000], ['1d', 86_400_000], ['0s', 0]] as const) t.equal(parseDuration(text), ms, text)
  for (const text of ['', '5', 's', '-1s', '1 s', '1S', '1e3ms', '1s ', '.5s', 'PT1S']) t.equal(parseDuration(text), undefined, text)
  for (const [text, bytes] of [['64KiB', 65_536], ['32MiB', 33_554_432], ['1.5GB', 1.5e9], ['4096', 4_096], ['1 KB', 1_000], ['7B', 7]] as const) t.equal(parseSize(text), bytes, text)
  for (const text of ['', 'KiB', '-1', '1kib', '1 TB', '0x10']) t.equal(parseSize(text), undefined, text)
  for (const text of ['500ms', '2s', '10m', '90s', '36h', '1d']) t.equal(parseDuration(formatDuration(parseDuration(text)!)), parseDuration(text), text)
  t.same([formatDuration(1_500), formatDuration(60_000), formatDuration(0), formatSize(32 * 1024 * 1024), formatSize(1_000)], ['1500ms', '1m', '0ms', '32MiB', '1000B'])
})

t.test('the nearest word', async t => {
  const known = ['ttft', 'tpot', 'deadline', 'first_token', 'pools']
  t.same(['ttf', 'tpto', 'dealine', 'first-token', 'pool', 'firsttoken', 'xyz', ''].map(word => nearest(word, known)), ['ttft', 'tpot', 'deadline', 'first_token', 'pools', 'first_token', undefined, undefined])
  t.equal(nearest('cofnig', ['config']), 'config', 'neighbours swapped')
})
