import type { Config, RouteConfig } from '../config/index.js'
import { DEFAULT_CLASS } from '../runtime/index.js'

/** What of a request decides its class. */
export interface Classifiable {
  readonly method: string
  readonly path: string
  readonly model: string | undefined
  readonly tenant: string
  readonly header: (name: string) => string | string[] | undefined
}

export interface Classified {
  readonly route: string
  readonly class: string
  readonly continuation: boolean
}

type Test = (request: Classifiable) => boolean

/** Matches none: no promise was made for it. */
const UNROUTED: Classified = { route: DEFAULT_CLASS, class: DEFAULT_CLASS, continuation: false }

/** The configured rules, made ready once: first match wins. */
export function compileRoutes(config: Pick<Config, 'routes'>): (request: Classifiable) => Classified {
  const rules = config.routes.map((route, index) => ({
    tests: testsOf(route.match),
    result: { route: route.name ?? String(index + 1), class: route.class, continuation: route.continuation },
  }))
  return request => rules.find(({ tests }) => tests.every(test => test(request)))?.result ?? UNROUTED
}

function testsOf({ path, method, model, header, tenant }: RouteConfig['match']): Test[] {
  const tests: Test[] = []
  if (path !== undefined) {
    const prefix = path.slice(0, -1)
    tests.push(path.endsWith('*') ? request => request.path.startsWith(prefix) : request => request.path === path)
  }
  if (method !== undefined) tests.push(request => request.method === method.toUpperCase())
  if (tenant !== undefined) tests.push(request => request.tenant === tenant)
  if (model !== undefined) {
    const matches = wildcard(model)
    tests.push(request => request.model !== undefined && matches(request.model))
  }
  for (const [name, value] of Object.entries(header ?? {})) {
    const lower = name.toLowerCase()
    const matches = wildcard(value)
    tests.push(request => {
      const given = request.header(lower)
      return typeof given === 'string' && matches(given)
    })
  }
  return tests
}

/** `*` stands for any run of characters. Linear in the text for any pattern: no regular expression that could be made to backtrack. */
export function wildcard(pattern: string): (text: string) => boolean {
  const parts = pattern.split('*')
  const first = parts[0]!
  if (parts.length === 1) return text => text === first
  const last = parts[parts.length - 1]!
  const middle = parts.slice(1, -1)
  return text => {
    if (!text.startsWith(first)) return false
    let at = first.length
    for (const part of middle) {
      const found = text.indexOf(part, at)
      if (found < 0) return false
      at = found + part.length
    }
    return text.length - last.length >= at && text.endsWith(last)
  }
}
