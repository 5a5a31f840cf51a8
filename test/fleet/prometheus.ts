import t from 'tap'
import fc from 'fast-check'
import { canonicalName, parseMetrics } from '../../src/fleet/prometheus.js'

const wanted = new Set(['vllm_x', 'plain', 'other_name'])
const parse = (text: string) => parseMetrics(text, wanted)

t.test('samples with all that the format allows', (t) => {
  const metrics = parse([
    '# HELP vllm:x Text with vllm:x 5 in it', '# TYPE vllm:x gauge', '',
    'vllm:x{engine="0",model_name="a\\"b\\\\c\\nd"} 1.5 1700000000000',
    'vllm:x{ engine = "1" , } 2e0 # {trace_id="1"} 1.0',
    'plain 3\r', 'plain\t4', 'skipped{a="b"} 9', 'vllm:xx 7', '# EOF',
  ].join('\n'))
  t.same(metrics.samples('vllm_x').map(({ value }) => value), [1.5, 2])
  t.same([...metrics.samples('vllm_x')[0]!.labels], [['engine', '0'], ['model_name', 'a"b\\c\nd']])
  t.same(metrics.samples('plain').map(({ value }) => value), [3, 4])
  t.same(metrics.samples('skipped'), [])
  t.end()
})

t.test('what is not a number says nothing, and a broken line harms no other', (t) => {
  const metrics = parse('plain NaN\nplain +Inf\nplain\nplain abc\nplain{a="b 1\nplain{a=b} 1\nplain{a 1\nplain{a="x"}\nplain 5')
  t.same(metrics.samples('plain').map(({ value }) => value), [5])
  t.equal(parse('').sum('plain'), undefined)
  t.end()
})

t.test('sums go over parts, maxima over repetitions', (t) => {
  const metrics = parse([
    'vllm:x{dp_rank="0",tp_rank="0"} 3', 'vllm:x{dp_rank="0",tp_rank="1"} 3', 'vllm:x{dp_rank="1",tp_rank="0"} 4',
    'plain{reason="a"} 1', 'plain{reason="b"} 2',
  ].join('\n'))
  t.equal(metrics.sum('vllm_x'), 7, 'tensor ranks say the same thing twice')
  t.equal(metrics.max('vllm_x'), 4)
  t.equal(metrics.total('plain'), 3)
  t.equal(metrics.sum('other_name', 'vllm_x'), 7, 'the first name that has samples')
  t.equal(metrics.sum('other_name'), undefined, 'missing is unknown, not zero')
  t.end()
})

t.test('names as Ray and others write them', (t) => {
  for (const name of ['vllm:x', 'vllm_x', 'ray_vllm_x', 'ray_vllm:x']) t.equal(canonicalName(name), 'vllm_x')
  t.end()
})

t.test('no text breaks the reader, and what is kept has a bound', (t) => {
  fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => { parse(`plain${text}\nvllm:x{${text}} 1\n${text}`) }), { numRuns: 300 })
  fc.assert(fc.property(fc.array(fc.constantFrom('plain', '{', '}', '"', '\\', '=', ',', ' ', '\n', 'a', '1', '#'), { maxLength: 40 }), (parts) => { parse(parts.join('')) }), { numRuns: 300 })
  t.equal(parse('plain 1\n'.repeat(50_000)).samples('plain').length, 10_000)
  t.end()
})
