import fp from 'fastify-plugin'
import { GatewayError } from '../errors.js'

const JSON_TYPE = /^\s*application\/(?:[a-z0-9!#$&^_.+-]+\+)?json\s*(?:;.*)?$/i

/** One buffer per body, whatever it holds: JSON is scanned later, where it is needed, and never written anew. */
export const body = fp(async app => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, payload, done) => { done(null, payload) })
  app.addHook('preParsing', (request, _reply, _payload, done) => {
    const { 'content-type': type, 'content-encoding': encoding } = request.headers
    const sent = request.method === 'POST' || request.method === 'PUT' || request.method === 'PATCH'
    if (sent && (type === undefined || !JSON_TYPE.test(type))) {
      return done(new GatewayError('unsupported_media_type', type === undefined ? 'The request has no content-type; send "content-type: application/json".' : undefined))
    }
    if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return done(new GatewayError('unsupported_media_type'))
    done()
  })
}, { name: 'body' })
