/** A plain JSON reader that keeps every member, repeated ones too: the reference for the byte scanners. */
export type Json = null | boolean | string | Num | Json[] | Members
/** A number as it is spelled. */
export class Num {
  constructor (readonly text: string) {}
}
export class Members {
  constructor (readonly pairs: ReadonlyArray<{ readonly name: string, /** As spelled, without its quotes. */ readonly raw: string, readonly value: Json }>) {}

  /** Every value under a name spelled without escapes. */
  all (name: string): Json[] {
    return this.pairs.filter(pair => pair.raw === name).map(pair => pair.value)
  }
}

const STRING = /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y  
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const SPACE = /[ \t\r\n]*/y

/** The value of a whole text, or undefined if it is not JSON or nested deeper than `maxDepth`. */
export function slowJson (text: string, maxDepth = 256): Json | undefined {
  let at = 0
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  const fail = (): never => { throw new SyntaxError(`at ${at}`) }
  const list = <T>(close: string, depth: number, item: () => T): T[] => {
    if (depth >= maxDepth) fail()
    at++
    const items: T[] = []
    take(SPACE)
    if (text[at] === close) {
      at++
      return items
    }
    for (;;) {
      take(SPACE)
      items.push(item())
      take(SPACE)
      const c = text[at++]
      if (c === close) return items
      if (c !== ',') fail()
    }
  }
  const value = (depth: number): Json => {
    take(SPACE)
    const c = text[at]
    if (c === '{') {
      return new Members(list('}', depth, () => {
        const quoted = take(STRING) ?? fail()
        take(SPACE)
        if (text[at++] !== ':') fail()
        return { name: JSON.parse(quoted) as string, raw: quoted.slice(1, -1), value: value(depth + 1) }
      }))
    }
    if (c === '[') return list(']', depth, () => value(depth + 1))
    if (c === '"') return JSON.parse(take(STRING) ?? fail()) as string
    for (const [word, meaning] of [['null', null], ['true', true], ['false', false]] as const) {
      if (text.startsWith(word, at)) {
        at += word.length
        return meaning
      }
    }
    return new Num(take(NUMBER) ?? fail())
  }
  try {
    const result = value(0)
    take(SPACE)
    return at === text.length ? result : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
