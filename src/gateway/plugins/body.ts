import fp from 'fastify-plugin'
import { GatewayError } from '../errors.js'

const JSON_ITSELF = 'application/json'
const JSON_TYPE = /^\s*application\/(?:[a-z0-9!#$&^_.+-]+\+)?json\s*(?:;.*)?$/i

/** One buffer per body, whatever it holds: JSON is scanned later, where it is needed, and never written anew. */
export const body = fp(async app => {
  app.removeAllContentTypeParsers()
  // By its name too: the framework remembers a type that it finds by name, and takes any other apart anew for each request.
  app.addContentTypeParser([JSON_ITSELF, '*'], { parseAs: 'buffer' }, (_request, payload, done) => { done(null, payload) })
  app.addHook('preParsing', (request, _reply, _payload, done) => {
    const { 'content-type': type, 'content-encoding': encoding } = request.headers
    const sent = request.method === 'POST' || request.method === 'PUT' || request.method === 'PATCH'
    if (sent && (type === undefined || (type !== JSON_ITSELF && !JSON_TYPE.test(type)))) {
      return done(new GatewayError('unsupported_media_type', type === undefined ? 'The request has no content-type; send "content-type: application/json".' : undefined))
    }
    if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return done(new GatewayError('unsupported_media_type'))
    done()
  })
}, { name: 'body' })
