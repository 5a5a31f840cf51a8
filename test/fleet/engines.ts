import t from 'tap'
import { ADAPTERS } from '../../src/fleet/engines/index.js'
import { DETECTION } from '../../src/fleet/engines/detect.js'
import { parseMetrics } from '../../src/fleet/prometheus.js'
import { ENGINES, type EngineKind } from '../../src/config/index.js'

function read(engine: EngineKind, text: string) {
  const { metrics } = ADAPTERS[engine]
  if (metrics === undefined) throw new Error(`${engine} has no metrics`)
  return metrics.read(parseMetrics(text, metrics.names))
}

t.test('vLLM, new names, two engines behind one port', (t) => {
  const reading = read('vllm', `
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 5.0
vllm:num_requests_waiting{engine="0",model_name="m"} 4.0
vllm:num_requests_waiting{engine="1",model_name="m"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
vllm:cache_config_info{block_size="16",num_gpu_blocks="1000",engine="0"} 1.0
vllm:cache_config_info{block_size="16",num_gpu_blocks="1000",engine="1"} 1.0
vllm:prefix_cache_queries_total{engine="0"} 1000
vllm:prefix_cache_queries_total{engine="1"} 1000
vllm:prefix_cache_hits_total{engine="0"} 300
vllm:generation_tokens_total{engine="0"} 10
vllm:generation_tokens_total{engine="1"} 20
vllm:prompt_tokens_total{engine="0"} 500
process_start_time_seconds 1.7e+09
`)
  t.same(reading.report, { running: 8, waiting: 5, kvUsageRatio: 0.75, kvCapacityTokens: 32_000 })
  t.same(reading, { report: reading.report, startedAtSeconds: 1.7e9, counters: [30, 500], prefixHitTokens: 300, prefixQueryTokens: 2000, steps: 30 })
  t.end()
})

t.test('vLLM: the true queue where it is told apart, old names, names through Ray, nothing at all', (t) => {
  t.match(read('vllm', 'vllm:num_requests_waiting 9\nvllm:num_requests_waiting_by_reason{reason="capacity"} 2\nvllm:num_requests_waiting_by_reason{reason="deferred"} 7').report, { waiting: 2 })
  t.same(read('vllm', 'vllm:gpu_cache_usage_perc{model_name="m"} 0.5\nvllm:gpu_prefix_cache_hits_total 1\nvllm:gpu_prefix_cache_queries_total 2'), { report: { kvUsageRatio: 0.5 }, counters: [], prefixHitTokens: 1, prefixQueryTokens: 2 })
  t.same(read('vllm', 'ray_vllm_num_requests_running{model_name="m"} 2').report, { running: 2 })
  t.same(read('vllm', 'python_info{version="3.12"} 1'), { report: {}, counters: [] }, 'without log stats it is unknown, not idle')
  t.end()
})

t.test('TGI', (t) => {
  t.same(read('tgi', 'tgi_queue_size 4\ntgi_batch_current_size 12\ntgi_request_count{method="generate"} 7\ntgi_request_skipped_tokens_sum 10\ntgi_request_input_length_sum 40'),
    { report: { running: 12, waiting: 4 }, counters: [7], prefixHitTokens: 10, prefixQueryTokens: 40 })
  t.same(ADAPTERS.tgi.facts[0]?.read({ model_id: 'org/m', max_total_tokens: 4096, max_batch_total_tokens: 65_536 }),
    { models: [{ id: 'org/m', ownedBy: 'tgi', maxModelTokens: 4096 }], kvCapacityTokens: 65_536, contextTokens: 4096 })
  t.same(ADAPTERS.tgi.aliases('org/m'), ['tgi'])
  t.end()
})

t.test('SGLang: data-parallel ranks add up, tensor ranks do not, and its own hit rate is not believed', (t) => {
  const reading = read('sglang', `
sglang:num_running_reqs{model_name="m",tp_rank="0",dp_rank="0"} 2
sglang:num_running_reqs{model_name="m",tp_rank="1",dp_rank="0"} 2
sglang:num_running_reqs{model_name="m",tp_rank="0",dp_rank="1"} 3
sglang:num_queue_reqs{model_name="m",tp_rank="0",dp_rank="0"} 1
sglang:token_usage{model_name="m"} 0.4
sglang:full_token_usage{model_name="m"} 0.3
sglang:max_total_num_tokens{model_name="m",dp_rank="0"} 1000
sglang:cache_hit_rate{model_name="m"} 0.0
sglang:prompt_tokens_total{model_name="m"} 200
sglang:cached_tokens_total{cache_source="device"} 50
sglang:num_requests_total 9
`)
  t.same(reading, { report: { running: 5, waiting: 1, kvUsageRatio: 0.3, kvCapacityTokens: 1000 }, counters: [200, 9], prefixHitTokens: 50, prefixQueryTokens: 200 })
  t.ok((ADAPTERS.sglang.health.minTimeoutMs ?? 0) > 20_000, 'its check may take 20 s')
  t.end()
})

t.test('TensorRT-LLM: never the path that takes statistics away', (t) => {
  t.equal(ADAPTERS.trtllm.metrics?.path, '/prometheus/metrics')
  t.same(read('trtllm', 'trtllm_num_requests_running 1\ntrtllm_num_requests_waiting 2\ntrtllm_kv_cache_utilization 0.1\ntrtllm_kv_cache_max_blocks 100\ntrtllm_kv_cache_tokens_per_block 32').report,
    { running: 1, waiting: 2, kvUsageRatio: 0.1, kvCapacityTokens: 3200 })
  t.same(read('trtllm', 'trtllm_kv_cache_max_blocks 100').report, {}, 'half of a product is no product')
  t.end()
})

t.test('llama.cpp and Ollama', (t) => {
  t.same(read('llamacpp', 'llamacpp:requests_processing 2\nllamacpp:requests_deferred 1\nllamacpp:prompt_tokens_total 5\nllamacpp:tokens_predicted_total 6'), { report: { running: 2, waiting: 1 }, counters: [5, 6] })
  t.same(ADAPTERS.llamacpp.facts[1]?.read({ default_generation_settings: { n_ctx: 4096 }, total_slots: 4 }), { contextTokens: 4096, kvCapacityTokens: 16_384 })
  t.equal(ADAPTERS.llamacpp.health.read(503), 'failed', 'it answers 503 while the model loads')
  t.equal(ADAPTERS.ollama.metrics, undefined)
  t.same(ADAPTERS.ollama.aliases('llama3:latest'), ['llama3'])
  t.end()
})

t.test('lists of models: context length where told, nonsense left out', (t) => {
  const read = ADAPTERS.openai.facts[0]!.read
  t.same(read({ data: [{ id: 'm', created: 5, owned_by: 'vllm', max_model_len: 8192 }, { id: 7 }, null, { id: 'x'.repeat(300) }, { id: '__proto__', max_model_len: -1 }] }),
    { models: [{ id: 'm', created: 5, ownedBy: 'vllm', maxModelTokens: 8192 }, { id: '__proto__' }] })
  for (const body of [undefined, null, 5, 'x', [], { data: 5 }]) t.same(read(body), {}, 'no list is no opinion')
  t.end()
})

t.test('every adapter survives whatever a server sends', (t) => {
  for (const engine of ENGINES) {
    const { engine: own, facts, health, metrics } = ADAPTERS[engine]
    t.equal(own, engine)
    t.equal(health.read(503), 'failed', engine)
    t.equal(health.read(200), 'ok', engine)
    for (const { read } of facts) for (const body of [undefined, null, [], 'x', { data: [{}] }, { default_generation_settings: 5 }]) t.doesNotThrow(() => read(body))
    if (metrics !== undefined) t.same(metrics.read(parseMetrics('<html>', metrics.names)), { report: {}, counters: [] }, engine)
  }
  t.end()
})

t.test('detection by what only one kind of server says', (t) => {
  const detect = (answers: Record<string, string>) => {
    for (const { path, read } of DETECTION) {
      const body = answers[path]
      let json: unknown
      try { json = JSON.parse(body ?? '') } catch { json = undefined }
      const engine = read(body === undefined ? 404 : 200, body ?? '{"detail":"Not Found"}', json)
      if (engine !== undefined) return engine
    }
    return undefined
  }
  t.equal(detect({ '/metrics': '# HELP a b\nvllm:num_requests_running 1' }), 'vllm')
  t.equal(detect({ '/metrics': 'tgi_queue_size 0' }), 'tgi')
  t.equal(detect({ '/metrics': 'sglang:num_running_reqs 0' }), 'sglang')
  t.equal(detect({ '/metrics': '[]', '/prometheus/metrics': 'trtllm_num_requests_running 0' }), 'trtllm')
  t.equal(detect({ '/v1/models': '{"data":[{"id":"m","owned_by":"llamacpp"}]}' }), 'llamacpp')
  t.equal(detect({ '/v1/models': '{"data":[{"id":"m","owned_by":"library"}]}' }), 'ollama')
  t.equal(detect({ '/v1/models': '{"data":[{"id":"gpt","owned_by":"system"}]}' }), undefined)
  t.equal(detect({ '/info': '{"model_id":"m","max_total_tokens":10}' }), 'tgi')
  t.equal(detect({ '/get_model_info': '{"model_path":"m"}' }), 'sglang')
  t.equal(detect({}), undefined)
  t.end()
})
