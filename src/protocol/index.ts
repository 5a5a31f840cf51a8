/** Wire formats as pure functions over bytes. */
export * from './types.js'
export * from './dialects.js'
export { readRequestFields, type FieldsResult, type RequestProblem } from './body.js'
export { withIncludeUsage, withMember, lengthOf } from './splice.js'
export { createStreamMeter, MAX_EVENT_BYTES } from './stream-meter.js'
export { readAnswer, type AnswerReading } from './answer.js'
export { ERROR_CODES, ERRORS, errorBody, errorEvent, errorShapeOfDialect, statusOf, type ErrorCode, type ErrorEntry, type FaultDomain } from './errors.js'
export { parseEngineError, isOverload } from './engine-error.js'
