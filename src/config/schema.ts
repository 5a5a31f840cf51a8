/**
 * The one schema: types, validation, defaults, the JSON Schema for editors and docs/configuration.md all come from here.
 * Every property has a description, and a default unless its absence means something.
 */
import { Type, type Static, type TObject, type TProperties, type TSchema } from '@sinclair/typebox'
import { POLICIES, type Bytes, type Ms } from '../core/index.js'

/** Written `500ms`, `2s`, `10m`, `1h`; milliseconds after loading. More than zero, unless `zero` says that zero means something. */
const Duration = (options: { description: string, default?: string, zero?: true }) =>
  Type.Unsafe<Ms>(Type.String({ ...options, unit: 'ms' }))

/** Written `64KiB`, `32MiB` or plain bytes; bytes after loading. */
const Size = (options: { description: string, default?: string }) =>
  Type.Unsafe<Bytes>(Type.String({ ...options, unit: 'bytes' }))

/** Never shown: not in messages, not by `sluice check`. */
const Secret = (description: string) => Type.String({ minLength: 1, writeOnly: true, description })

/** Names become header values, metric labels and parts of paths. */
const NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._:-]{0,62}$'
const Name = (description: string) => Type.String({ pattern: NAME_PATTERN, description })
const named = <T extends TSchema>(description: string, each: T) =>
  Type.Record(Type.String({ pattern: NAME_PATTERN }), each, { additionalProperties: false, default: {}, description })

const choice = <const T extends readonly string[]>(names: T, options: { description: string, default?: T[number] }) =>
  Type.Unsafe<T[number]>(Type.String({ ...options, enum: [...names] }))

/** An object that takes no unknown keys; absent, it is filled from its properties' defaults. */
const closed = <T extends TProperties>(description: string, properties: T): TObject<T> =>
  Type.Object(properties, { additionalProperties: false, description, default: {} })

const Port = (description: string, port: number) => Type.Integer({ minimum: 0, maximum: 65535, default: port, description })
const Share = (description: string, share: number) => Type.Number({ minimum: 0, maximum: 1, default: share, description })
const Strings = (description: string) => Type.Array(Type.String(), { description })

export const ENGINES = ['vllm', 'tgi', 'sglang', 'trtllm', 'llamacpp', 'ollama', 'openai'] as const
export type EngineKind = typeof ENGINES[number]

const Tls = Type.Optional(Type.Object({
  cert: Type.Optional(Type.String({ description: 'Path of the certificate chain, PEM.' })),
  key: Type.Optional(Type.String({ description: 'Path of the private key, PEM.' })),
  ca: Type.Optional(Type.String({ description: 'Path of the authorities to trust, PEM. On a listener it makes client certificates required.' })),
}, { additionalProperties: false, description: 'TLS material; files are read again on reload.' }))

const Backend = Type.Object({
  url: Type.String({ description: 'Base address, for example `http://10.0.0.1:8000`.' }),
  name: Type.Optional(Name('Its name in headers, metrics and logs. Absent: host and port of `url`.')),
  engine: choice(ENGINES, { default: 'openai', description: 'Kind of model server. `openai` assumes nothing beyond the OpenAI protocol.' }),
  models: Type.Optional(Strings('Models that it serves. Absent: asked from its `/v1/models`.')),
  max_inflight: Type.Optional(Type.Integer({ minimum: 1, description: 'Hard cap on requests in flight. Absent: none.' })),
  cost_per_hour: Type.Optional(Type.Number({ minimum: 0, description: 'Cost per hour in any currency, the same for every backend: costs per million tokens are in it. Absent: unknown.' })),
  gpu_metrics: Type.Optional(Type.Object({
    url: Type.String({ description: 'Whole address of the DCGM exporter\'s metrics, for example `http://10.0.0.1:9400/metrics`.' }),
    gpus: Type.Optional(Strings('Indices or UUIDs of the backend\'s own GPUs. Absent: all of that machine.')),
  }, { additionalProperties: false, description: 'Where its GPUs\' utilisation is read, for people to see. Absent: nowhere.' })),
  api_key: Type.Optional(Secret('Sent to this backend as its bearer token.')),
  tls: Tls,
}, { additionalProperties: false, description: 'One model server.' })

const Pool = Type.Object({
  role: choice(['latency', 'throughput'], { default: 'latency', description: 'What the pool is for: `latency` or `throughput`.' }),
  mode: choice(['lowest-ttft', 'balanced', 'highest-throughput'], { default: 'balanced', description: 'What to favour; can be switched while running.' }),
  backends: Type.Array(Backend, { minItems: 1, description: 'The model servers of the pool.' }),
}, { additionalProperties: false, description: 'A named set of backends.' })

const ServiceClassSchema = Type.Object({
  ttft: Type.Optional(Duration({ description: 'Target for the time to first token. Absent: no constraint.' })),
  tpot: Type.Optional(Duration({ description: 'Target for the time per output token. Absent: no constraint.' })),
  deadline: Type.Optional(Duration({ description: 'Target end to end. Absent: no constraint.' })),
  objective: Share('Share of requests that must meet the targets.', 0.95),
  weight: Type.Number({ exclusiveMinimum: 0, default: 1, description: 'Share of capacity under contention, relative to the other classes.' }),
  min_share: Share('Least share of requests served in time, relative to all classes; below it the class may cost the others more. 0: none.', 0.95),
  sheddable: Type.Boolean({ default: false, description: 'May be refused first, in favour of classes that are not sheddable.' }),
  pools: Type.Array(Type.String(), { default: [], description: 'Pools in order of preference. Empty: every pool.' }),
  on_infeasible: choice(['reject', 'best_effort'], { default: 'reject', description: 'What `enforce` does with a request that cannot meet its targets.' }),
  queue_limit: Type.Integer({ minimum: 0, default: 1000, description: 'Most requests that may wait; one more is refused with `queue_full`.' }),
  max_queue: Duration({ default: '60s', zero: true, description: 'Longest wait in the queue.' }),
  batch_mode: choice(['hold', 'guarded', 'shared'], { default: 'guarded', description: 'How work without a TTFT target shares backends with interactive work.' }),
}, { additionalProperties: false, description: 'A named SLO and how to treat it.' })

const Match = Type.Object({
  path: Type.Optional(Type.String({ description: 'Exact path, or a prefix that ends in `*`.' })),
  method: Type.Optional(Type.String({ description: 'HTTP method.' })),
  model: Type.Optional(Type.String({ description: 'Model name; `*` stands for any run of characters.' })),
  header: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'Header values that must be equal; `*` as above.' })),
  tenant: Type.Optional(Type.String({ description: 'Name of the API key.' })),
}, { additionalProperties: false, description: 'All conditions given must hold.' })

const Route = Type.Object({
  name: Type.Optional(Name('Name in metrics and logs. Absent: its number, counted from 1.')),
  match: Match,
  class: Type.String({ description: 'Service class of the requests that match.' }),
  continuation: Type.Boolean({ default: false, description: 'Continue a broken stream on another backend where that can be exact.' }),
}, { additionalProperties: false, description: 'A rule that gives matching requests a class. The first match wins.' })

const Key = Type.Object({
  name: Name('Name of the tenant.'),
  key: Type.Optional(Secret('The secret; use `${NAME}`.')),
  sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', writeOnly: true, description: 'SHA-256 of the secret in hexadecimal, in its place.' })),
  file: Type.Optional(Type.String({ description: 'File that holds the secret, in its place; read again on reload.' })),
  classes: Type.Optional(Strings('Classes that it may use. Absent: all.')),
  models: Type.Optional(Strings('Models that it may use; `*` as a wildcard. Absent: all.')),
  min_ttft: Type.Optional(Duration({ zero: true, description: 'Tightest TTFT that it may ask for by header.' })),
  min_tpot: Type.Optional(Duration({ zero: true, description: 'Tightest TPOT that it may ask for by header.' })),
  min_deadline: Type.Optional(Duration({ zero: true, description: 'Tightest deadline that it may ask for by header.' })),
  requests_per_minute: Type.Optional(Type.Integer({ minimum: 1, description: 'Rate limit. Absent: none.' })),
  tokens_per_minute: Type.Optional(Type.Integer({ minimum: 1, description: 'Rate limit on prompt and output tokens. Absent: none.' })),
  max_inflight: Type.Optional(Type.Integer({ minimum: 1, description: 'Most requests at once. Absent: no cap.' })),
}, { additionalProperties: false, description: 'An API key and what it allows.' })

const Auth = Type.Union([
  Type.Literal('none', { description: 'Anybody may use the gateway.' }),
  Type.Literal('passthrough', { description: 'The client\'s credentials go to the backend, which decides.' }),
  Type.Object({ keys: Type.Array(Key, { minItems: 1, description: 'The API keys.' }) }, { additionalProperties: false, description: 'Keys of the gateway\'s own.' }),
], { description: 'Who may use the data plane. Absent: anybody, and the listener must be on loopback.' })

export const ConfigSchema = closed('Configuration of Sluice.', {
  listen: closed('The data plane.', {
    host: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address to bind; one that is not loopback needs `auth`.' }),
    port: Port('Port; 0 picks a free one.', 8080),
    tls: Tls,
  }),
  admin: closed('The admin plane: metrics, health, state, dashboard.', {
    host: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address to bind.' }),
    port: Port('Port; 0 picks a free one.', 9090),
    token: Type.Optional(Secret('Bearer token for actions and, off loopback, for everything but health. Absent: actions are refused.')),
    tls: Tls,
  }),
  pools: named('Backends by pool.', Pool),
  classes: named('Service classes by name. `default` always exists; it has no targets unless they are given here.', ServiceClassSchema),
  routes: Type.Array(Route, { default: [], description: 'Rules, first match wins; what matches none has class `default`.' }),
  auth: Type.Optional(Auth),
  admission: closed('Feasibility-checked admission.', {
    mode: choice(['off', 'observe', 'enforce'], { default: 'observe', description: '`observe` decides and records, and never refuses.' }),
    probe_share: Share('Share of would-be rejections admitted anyway, to measure false rejections.', 0.05),
    max_false_rejection_ratio: Share('Above this measured ratio `enforce` falls back to `observe` by itself.', 0.2),
  }),
  scheduling: closed('Order and placement.', {
    policy: choice(POLICIES, { default: 'slo', description: 'Placement policy.' }),
  }),
  timeouts: closed('Limits per phase of one attempt.', {
    connect: Duration({ default: '5s', description: 'To open a connection to a backend.' }),
    first_token: Duration({ default: '120s', description: 'From sending the request to the first token (or to the answer\'s head, where it is not streamed).' }),
    idle: Duration({ default: '60s', description: 'Between two events of a stream, comments left out; between two pieces of any other answer.' }),
    total: Duration({ default: '30m', description: 'For the whole request.' }),
    write_stall: Duration({ default: '30s', description: 'For a client that does not read.' }),
    request_body: Duration({ default: '30s', description: 'For the client to send its body.' }),
    drain: Duration({ default: '30s', zero: true, description: 'Grace for running streams after SIGTERM.' }),
  }),
  retries: closed('Retries before the first token, on another backend, and continuations of broken answers.', {
    max_attempts: Type.Integer({ minimum: 1, maximum: 10, default: 3, description: 'Attempts per request, the first included.' }),
    budget_ratio: Share('Retries allowed as a share of requests, gateway-wide. The first continuation of an answer is free.', 0.2),
    min_per_second: Type.Number({ minimum: 0, default: 3, description: 'Retries always allowed per second.' }),
  }),
  limits: closed('Caps against overload and cost bombs.', {
    body: Size({ default: '32MiB', description: 'Largest request body.' }),
    headers: Size({ default: '16KiB', description: 'Largest request head.' }),
    connections: Type.Integer({ minimum: 1, default: 20000, description: 'Most client connections.' }),
    event_loop_lag: Duration({ default: '250ms', zero: true, description: 'How late the gateway\'s own event loop may run before it takes no new requests; sheddable classes are refused at half of it. 0: never.' }),
    max_n: Type.Integer({ minimum: 1, default: 128, description: 'Largest `n` or `best_of`.' }),
    max_tokens: Type.Integer({ minimum: 1, default: 1000000, description: 'Largest output cap a client may ask for, times `n`.' }),
    max_prompts: Type.Integer({ minimum: 1, default: 2048, description: 'Most prompts in one call.' }),
    deny_fields: Type.Array(Type.String(), {
      default: ['kv_transfer_params', 'ec_transfer_params', 'bootstrap_host', 'bootstrap_port', 'bootstrap_room', 'disaggregated_params', 'routed_dp_rank', 'data_parallel_rank', 'disagg_prefill_dp_rank', 'lora_path', 'chat_template', 'prompt_embeds', 'input_embeds', 'priority'],
      description: 'Body members that are refused, since they steer a server\'s internals.',
    }),
  }),
  passthrough: closed('Paths that go to a healthy backend as they are.', {
    paths: Type.Array(Type.String(), {
      default: ['/tokenize', '/detokenize', '/v1/tokenize', '/v1/detokenize', '/chat_tokenize', '/apply-template', '/info', '/version', '/tokenizer_info'],
      description: 'Exact paths.',
    }),
  }),
  health: closed('Active health checks.', {
    interval: Duration({ default: '2s', description: 'Between two checks of a backend.' }),
    timeout: Duration({ default: '2s', description: 'For one check.' }),
    down_after: Type.Integer({ minimum: 1, default: 2, description: 'Failed checks in a row before `down`.' }),
    up_after: Type.Integer({ minimum: 1, default: 1, description: 'Good checks in a row before `up`.' }),
  }),
  scrape: closed('Reading the engines\' own metrics.', {
    interval: Duration({ default: '1s', description: 'Between two reads of a backend.' }),
    timeout: Duration({ default: '1s', description: 'For one read.' }),
  }),
  breaker: closed('Circuit breaker per backend, fed by faults alone.', {
    faults: Type.Integer({ minimum: 1, default: 5, description: 'Faults in a row that open it.' }),
    open: Duration({ default: '5s', description: 'Before probes are let through.' }),
    probes: Type.Integer({ minimum: 1, default: 1, description: 'Requests at once while half open.' }),
  }),
  outliers: closed('Backends that answer, but far slower than they used to while their pool does not.', {
    factor: Type.Number({ minimum: 0, default: 4, description: 'How many times slower than usual, and than the pool at the same time, is set back to one request at a time. At least 2; 0: never.' }),
    max_share: Share('Most of a pool that may be set back at once, as a share; one backend always may be.', 0.3),
  }),
  log: closed('Logs.', {
    level: choice(['silent', 'error', 'warn', 'info', 'debug', 'trace'], { default: 'info', description: 'Lowest level written to stdout.' }),
    requests: Type.Boolean({ default: true, description: 'One line per request, at its end.' }),
    request_file: Type.Optional(Type.String({ description: 'File for one JSON object per request; `sluice simulate` reads it as a trace.' })),
    audit_file: Type.Optional(Type.String({ description: 'Append-only file for refusals and operator actions.' })),
  }),
  telemetry: closed('OpenTelemetry; off unless an endpoint is given.', {
    otlp_endpoint: Type.Optional(Type.String({ description: 'OTLP/HTTP receiver, for example `http://127.0.0.1:4318`.' })),
  }),
})

type Written = Static<typeof ConfigSchema>
type WrittenPool = Static<typeof Pool>

/** After loading, `name` is always there. */
export type BackendConfig = Static<typeof Backend> & { name: string }
export type PoolConfig = Omit<WrittenPool, 'backends'> & { backends: BackendConfig[] }
export type ServiceClassConfig = Static<typeof ServiceClassSchema>
/** After loading, `name` is always there; header names are in lower case, the method in upper case. */
export type RouteConfig = Static<typeof Route> & { name: string }
/** After loading, a secret is known by its SHA-256 alone, however it was given. */
export type KeyConfig = Omit<Static<typeof Key>, 'key' | 'file' | 'sha256'> & { sha256: string }
export type AuthConfig = 'none' | 'passthrough' | { keys: KeyConfig[] }

/**
 * The configuration after loading: defaults filled in, durations in ms, sizes in bytes, environment and files read, frozen.
 * `classes.default` exists. Urls of backends have no trailing slash.
 */
export type Config = Omit<Written, 'pools' | 'routes' | 'auth'> & {
  pools: Record<string, PoolConfig>
  routes: RouteConfig[]
  auth?: AuthConfig
}
