import type { ServerResponse } from 'node:http'
import { type AnswerPlan, type LengthRules, planAnswer } from '../answer-plan.js'
import { type Call, type EngineFace, generationOptions, requestId, type Route, type ServerContext } from '../context.js'
import { Generation, type Renderer } from '../generation.js'
import { badRequest, booleanMember, EmulatedError, integerMember, type JsonObject, orderedTokens, parseObject, sendJson, sendText, stringListMember } from '../http.js'
import { vllmMetrics } from '../metrics/exposition.js'
import { embeddingRoute } from './embeddings.js'
import { checkModel, readChatPrompt, readPrompts, requiredTool } from './inputs.js'
import { ChatRenderer, CompletionRenderer, type OpenAiStreamOptions } from './render.js'

export const VLLM_VERSION = '0.11.0'

/** vLLM's OpenAI server. */
export function vllmFace (context: ServerContext): EngineFace {
  const generation = (handle: (call: Call) => void): Route => ({ generation: true, handle })
  const other = (handle: (call: Call) => void): Route => ({ generation: false, handle })
  const empty = (call: Call): void => { sendText(call.res, 200, '', 'text/plain; charset=utf-8') }
  return {
    routes: new Map([
      ['POST /v1/chat/completions', generation(call => { chat(context, call) })],
      ['POST /v1/completions', generation(call => { completions(context, call) })],
      ['POST /v1/embeddings', embeddingRoute(context)],
      ['POST /tokenize', other(call => { tokenizeRoute(context, call) })],
      ['POST /detokenize', other(call => { detokenizeRoute(call) })],
      ['GET /v1/models', other(call => { sendJson(call.res, 200, models(context)) })],
      ['GET /health', other(empty)],
      ['GET /ping', other(empty)],
      ['POST /ping', other(empty)],
      ['GET /version', other(call => { sendJson(call.res, 200, { version: VLLM_VERSION }) })],
      ['GET /load', other(call => { sendJson(call.res, 200, { server_load: context.ledger.active }) })],
      ['GET /metrics', other(call => {
        sendText(call.res, 200, vllmMetrics(context.driver.model, context.statistics, context.settings.model, context.settings.metricNames), 'text/plain; version=0.0.4; charset=utf-8')
      })]
    ]),
    sendError: sendVllmError
  }
}

export function sendVllmError (res: ServerResponse, status: number, type: string, message: string, headers: Readonly<Record<string, string>> = {}): void {
  sendJson(res, status, { error: { message, type, param: null, code: status } }, headers)
}

function models (context: ServerContext): object {
  const { model, maxModelTokens } = context.settings
  return { object: 'list', data: [{ id: model, object: 'model', created: createdAt(context), owned_by: 'vllm', root: model, parent: null, max_model_len: maxModelTokens }] }
}

/** Unix seconds by the server's own clock, which starts at a fixed day: answers stay reproducible. */
export function createdAt (context: ServerContext): number {
  return 1_760_000_000 + Math.floor(context.clock.now() / 1000)
}

interface Common {
  readonly n: number
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly continuousUsage: boolean
  readonly returnTokenIds: boolean
  readonly interval: number
}

function readCommon (body: JsonObject): Common {
  const stream = booleanMember(body, 'stream')
  const options = body['stream_options']
  if (options !== undefined && options !== null && (typeof options !== 'object' || !stream)) throw badRequest('Stream options can only be defined when `stream=True`.')
  const streamOptions = (options ?? {}) as JsonObject
  const temperature = body['temperature']
  if (temperature !== undefined && temperature !== null && !(typeof temperature === 'number' && temperature >= 0)) throw badRequest('temperature must be a number of at least 0')
  return {
    n: integerMember(body, 'n', 1, 1),
    stream,
    includeUsage: booleanMember(streamOptions, 'include_usage'),
    continuousUsage: booleanMember(streamOptions, 'continuous_usage_stats'),
    returnTokenIds: booleanMember(body, 'return_token_ids'),
    interval: integerMember(body, 'stream_interval', 1, 1)
  }
}

function readRules (context: ServerContext, call: Call, body: JsonObject, promptTokens: number, maxTokens: number | undefined): LengthRules {
  const { maxModelTokens } = context.settings
  const room = maxModelTokens - promptTokens
  if (room < 1 || (maxTokens !== undefined && maxTokens > room)) {
    throw badRequest(`This model's maximum context length is ${maxModelTokens} tokens. However, you requested ${promptTokens + (maxTokens ?? 1)} tokens ` +
      `(${promptTokens} in the messages, ${maxTokens ?? 1} in the completion). Please reduce the length of the messages or completion.`)
  }
  const salt = body['cache_salt']
  return {
    answerTokens: orderedTokens(call.req, body),
    maxTokens: maxTokens ?? room,
    minTokens: integerMember(body, 'min_tokens', 0, 0),
    ignoreEos: booleanMember(body, 'ignore_eos'),
    stop: stringListMember(body, 'stop'),
    salt: typeof salt === 'string' ? salt : ''
  }
}

function begin (context: ServerContext, call: Call, common: Common, id: string, plans: readonly AnswerPlan[], renderer: (generation: Generation) => Renderer): void {
  const { ledger, statistics } = context
  const generation = new Generation({
    ...generationOptions(context, call, id, plans),
    stream: common.stream,
    interval: common.interval,
    keepText: false,
    keepIds: common.returnTokenIds
  }, renderer)
  ledger.active++
  if (generation.start()) return
  ledger.active--
  ledger.refused++
  statistics.refused++
  throw new EmulatedError(503, 'ServiceUnavailable', 'The server is at its limit of queued requests. Try again later.')
}

function streamOptions (context: ServerContext, common: Common, id: string): OpenAiStreamOptions {
  const { model, promptTokensDetails } = context.settings
  return {
    id,
    model,
    created: createdAt(context),
    includeUsage: common.includeUsage,
    continuousUsage: common.continuousUsage,
    returnTokenIds: common.returnTokenIds,
    promptTokensDetails
  }
}

function chat (context: ServerContext, call: Call): void {
  const body = parseObject(call.body)
  checkModel(context, body)
  const common = readCommon(body)
  const promptIds = readChatPrompt(body)
  const maxTokens = integerMember(body, 'max_completion_tokens', 1, undefined) ?? integerMember(body, 'max_tokens', 1, undefined)
  const rules = readRules(context, call, body, promptIds.length, maxTokens)
  const plan = planAnswer(context.language, promptIds, rules, context.driver.model.limits.prefixBlockTokens)
  const id = requestId(call.req, context.ledger)
  const options = {
    ...streamOptions(context, common, `chatcmpl-${id}`),
    reasoningTokens: integerMember(body, 'emulate_reasoning_tokens', 0, 0),
    reasoningMember: context.settings.reasoningMember,
    toolName: requiredTool(body)
  }
  begin(context, call, common, id, new Array<AnswerPlan>(common.n).fill(plan), generation => new ChatRenderer(generation, options))
}

function completions (context: ServerContext, call: Call): void {
  const body = parseObject(call.body)
  checkModel(context, body)
  const common = readCommon(body)
  if (body['suffix'] !== undefined && body['suffix'] !== null) throw badRequest('suffix is not currently supported')
  const prompts = readPrompts(body['prompt'])
  const maxTokens = integerMember(body, 'max_tokens', 1, 16)
  const echo = booleanMember(body, 'echo')
  const plans: AnswerPlan[] = []
  const echoes: string[] = []
  for (const { ids, text } of prompts) {
    const rules = readRules(context, call, body, ids.length, maxTokens)
    const plan = planAnswer(context.language, ids, rules, context.driver.model.limits.prefixBlockTokens)
    for (let i = 0; i < common.n; i++) {
      plans.push(plan)
      if (echo) echoes.push(text())
    }
  }
  const id = requestId(call.req, context.ledger)
  const options = { ...streamOptions(context, common, `cmpl-${id}`), echo: echoes }
  begin(context, call, common, id, plans, generation => new CompletionRenderer(generation, options))
}

function tokenizeRoute (context: ServerContext, call: Call): void {
  const body = parseObject(call.body)
  checkModel(context, body)
  const tokens = Array.isArray(body['messages']) ? readChatPrompt(body) : readPrompts(body['prompt'])[0]?.ids ?? []
  sendJson(call.res, 200, { count: tokens.length, max_model_len: context.settings.maxModelTokens, tokens, token_strs: null })
}

function detokenizeRoute (call: Call): void {
  const { tokens } = parseObject(call.body)
  sendJson(call.res, 200, { prompt: readPrompts(tokens)[0]?.text() ?? '' })
}
