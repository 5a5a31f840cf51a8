import type { ServerResponse } from 'node:http'
import { type AnswerPlan, idsOfText, type LengthRules, planAnswer } from '../answer-plan.js'
import { renderChat } from '../chat-template.js'
import { type Call, type EngineFace, generationOptions, requestId, type Route, type ServerContext } from '../context.js'
import { Generation, type Renderer } from '../generation.js'
import { badRequest, booleanMember, EmulatedError, integerMember, type JsonObject, orderedTokens, parseObject, sendJson, sendText, stringListMember } from '../http.js'
import { tgiMetrics } from '../metrics/exposition.js'
import { NativeRenderer, tgiErrorEvent, TgiOpenAiRenderer } from './render.js'

const TGI_VERSION = '3.3.4'

/** Text Generation Inference 3. */
export function tgiFace (context: ServerContext): EngineFace {
  const generation = (handle: (call: Call) => void): Route => ({ generation: true, handle })
  const other = (handle: (call: Call) => void): Route => ({ generation: false, handle })
  const { settings, driver } = context
  const empty = (call: Call): void => { sendText(call.res, 200, '', 'text/plain; charset=utf-8') }
  return {
    routes: new Map([
      ['POST /generate', generation(call => { native(context, call, { stream: false, compat: false }) })],
      ['POST /generate_stream', generation(call => { native(context, call, { stream: true, compat: false }) })],
      ['POST /', generation(call => { native(context, call, { stream: undefined, compat: true }) })],
      ['POST /v1/chat/completions', generation(call => { openAi(context, call, true) })],
      ['POST /v1/completions', generation(call => { openAi(context, call, false) })],
      ['POST /tokenize', other(call => { tokenizeRoute(call) })],
      ['GET /info', other(call => {
        sendJson(call.res, 200, {
          model_id: settings.model, model_sha: null, max_concurrent_requests: driver.model.limits.maxInflight, max_best_of: 2, max_stop_sequences: 4,
          max_input_tokens: settings.maxModelTokens - 1, max_total_tokens: settings.maxModelTokens, validation_workers: 2, max_client_batch_size: 4,
          router: 'text-generation-router', version: TGI_VERSION, sha: null
        })
      })],
      ['GET /v1/models', other(call => { sendJson(call.res, 200, { object: 'list', data: [{ id: settings.model, object: 'model', created: 0, owned_by: settings.model }] }) })],
      ['GET /', other(empty)],
      ['GET /health', other(empty)],
      ['GET /ping', other(empty)],
      ['GET /metrics', other(call => { sendText(call.res, 200, tgiMetrics(driver.model, context.statistics), 'text/plain; version=0.0.4') })]
    ]),
    sendError: sendTgiError
  }
}

const ERROR_TYPES: Readonly<Record<number, string>> = { 400: 'validation', 422: 'validation', 424: 'generation', 429: 'overloaded', 500: 'incomplete_generation' }

function sendTgiError (res: ServerResponse, status: number, type: string, message: string, headers: Readonly<Record<string, string>> = {}): void {
  sendJson(res, status, { error: message, error_type: ERROR_TYPES[status] ?? type }, headers)
}

interface Ask {
  readonly stream: boolean
  readonly plan: AnswerPlan
  readonly renderer: (generation: Generation) => Renderer
}

/**
 * Run a call. Once a stream is asked for the status is 200 whatever happens: refusals and invalid input come as its first event.
 */
function run (context: ServerContext, call: Call, stream: boolean, ask: () => Ask): void {
  const { ledger, statistics } = context
  try {
    const { plan, renderer } = ask()
    const id = requestId(call.req, ledger)
    const generation = new Generation({ ...generationOptions(context, call, id, [plan]), stream, interval: 1, keepText: true, keepIds: true }, renderer)
    ledger.active++
    if (generation.start()) return
    ledger.active--
    ledger.refused++
    statistics.refused++
    throw new EmulatedError(429, 'overloaded', 'Model is overloaded')
  } catch (error) {
    if (!stream || !(error instanceof EmulatedError) || call.res.headersSent) throw error
    call.res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', 'x-accel-buffering': 'no' })
    call.res.end(tgiErrorEvent(ERROR_TYPES[error.status] ?? error.type, error.message))
  }
}

/** TGI answers invalid input with 422. */
function invalid (message: string): EmulatedError {
  return new EmulatedError(422, 'validation', `Input validation error: ${message}`)
}

function plan (context: ServerContext, promptIds: readonly number[], rules: LengthRules): AnswerPlan {
  return planAnswer(context.language, promptIds, rules, context.driver.model.limits.prefixBlockTokens)
}

function room (context: ServerContext, promptTokens: number, maxTokens: number | undefined): number {
  const { maxModelTokens } = context.settings
  if (promptTokens > maxModelTokens - 1) throw invalid(`\`inputs\` must have less than ${maxModelTokens - 1} tokens. Given: ${promptTokens}`)
  if (promptTokens + (maxTokens ?? 1) > maxModelTokens) {
    throw invalid(`\`inputs\` tokens + \`max_new_tokens\` must be <= ${maxModelTokens}. Given: ${promptTokens} \`inputs\` tokens and ${maxTokens} \`max_new_tokens\``)
  }
  return maxTokens ?? maxModelTokens - promptTokens
}

function native (context: ServerContext, call: Call, route: { readonly stream: boolean | undefined, readonly compat: boolean }): void {
  const body = parseObject(call.body)
  const stream = route.stream ?? booleanMember(body, 'stream')
  run(context, call, stream, () => {
    const { inputs } = body
    const parameters = (body['parameters'] ?? {}) as JsonObject
    if (typeof inputs !== 'string' || inputs === '') throw invalid('`inputs` cannot be empty')
    if (stream && (integerMember(parameters, 'best_of', 1, 1) !== 1)) throw invalid('`best_of` != 1 is not supported when streaming tokens')
    const promptIds = idsOfText(inputs)
    const options = {
      details: booleanMember(parameters, 'details'),
      returnFullText: booleanMember(parameters, 'return_full_text', route.compat && !stream),
      promptText: inputs,
      asList: route.compat
    }
    return {
      stream,
      plan: plan(context, promptIds, {
        answerTokens: orderedTokens(call.req, body) ?? orderedTokens(call.req, parameters),
        maxTokens: room(context, promptIds.length, integerMember(parameters, 'max_new_tokens', 1, undefined)),
        minTokens: 0,
        ignoreEos: false,
        stop: stringListMember(parameters, 'stop'),
        salt: ''
      }),
      renderer: () => new NativeRenderer(options)
    }
  })
}

function openAi (context: ServerContext, call: Call, chat: boolean): void {
  const body = parseObject(call.body)
  const stream = booleanMember(body, 'stream')
  run(context, call, stream, () => {
    const promptIds = chat ? chatIds(body) : completionIds(body)
    const streamOptions = (body['stream_options'] ?? {}) as JsonObject
    const options = {
      chat,
      model: context.settings.model,
      created: 1_760_000_000 + Math.floor(context.clock.now() / 1000),
      includeUsage: booleanMember(streamOptions, 'include_usage')
    }
    return {
      stream,
      plan: plan(context, promptIds, {
        answerTokens: orderedTokens(call.req, body),
        maxTokens: room(context, promptIds.length, integerMember(body, 'max_tokens', 1, undefined)),
        minTokens: 0,
        ignoreEos: false,
        stop: stringListMember(body, 'stop'),
        salt: ''
      }),
      renderer: generation => new TgiOpenAiRenderer(generation, options)
    }
  })
}

function chatIds (body: JsonObject): number[] {
  const { messages, tools } = body
  if (!Array.isArray(messages) || messages.length === 0) throw invalid('`messages` cannot be empty')
  try {
    return renderChat({ messages: messages as unknown[], tools: Array.isArray(tools) ? tools as unknown[] : [], continueFinalMessage: false, addGenerationPrompt: true })
  } catch (error) {
    throw invalid((error as Error).message)
  }
}

function completionIds (body: JsonObject): number[] {
  const { prompt } = body
  if (typeof prompt !== 'string') throw invalid('`prompt` must be a string')
  return idsOfText(prompt)
}

function tokenizeRoute (call: Call): void {
  const { inputs } = parseObject(call.body)
  if (typeof inputs !== 'string') throw badRequest('inputs must be a string')
  sendJson(call.res, 200, idsOfText(inputs).map((id, index) => ({ id, text: '', start: index, stop: index })))
}
