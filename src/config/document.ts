import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Document, type Node, type YAMLError } from 'yaml'
import { interpolate, type Environment } from './interpolate.js'
import { writePath, type ConfigProblem, type Path, type Position } from './problems.js'

/** A parsed file: plain values, and what is known of where each came from. */
export interface SourceDocument {
  readonly value: unknown
  readonly problems: readonly ConfigProblem[]
  /** Position of the member or item at a path, or of the closest one above it that was written. */
  at(path: Path): Position | undefined
  /** The value holds something of the environment: not to be shown, and text may stand for a number. */
  fromEnvironment(path: Path): boolean
  /** The value refers to something that is not there (already reported): nothing more can be said about it. */
  unresolved(path: Path): boolean
}

const MAX_NODES = 200_000
const MAX_DEPTH = 40

const key = (path: Path): string => JSON.stringify(path)

/** YAML 1.2 with references to the environment replaced in values (not in keys). Never throws: what is wrong is in `problems`. */
export const parseDocument = (text: string, environment: Environment): SourceDocument => {
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text.replace(/^\uFEFF/, ''), { version: '1.2', uniqueKeys: true, prettyErrors: false, lineCounter: lines, logLevel: 'silent' })
  const documents: Document.Parsed[] = Array.isArray(parsed) ? parsed as Document.Parsed[] : []
  const problems: ConfigProblem[] = []
  const positions = new Map<string, Position>()
  const references = new Set<string>()
  const unresolved = new Set<string>()
  const place = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  for (const document of documents) {
    for (const error of [...document.errors, ...document.warnings]) problems.push({ path: '', at: place(error.pos[0]), message: syntaxMessage(error, text) })
  }
  const [first, second] = documents
  if (second !== undefined) problems.push({ path: '', at: place(second.range[0]), message: 'the file holds more than one YAML document; keep one' })

  let nodes = 0
  const report = (path: Path, message: string) => problems.push({ path: writePath(path), at: positions.get(key(path)), message })
  const read = (node: Node | null | undefined, path: Path): unknown => {
    if (++nodes > MAX_NODES || path.length > MAX_DEPTH) {
      if (nodes <= MAX_NODES + 1) report(path.slice(0, 3), 'too deep or too large; are aliases nested?')
      return null
    }
    if (isAlias(node)) return read(node.resolve(first!), path)
    if (isMap(node)) {
      const map: Record<string, unknown> = {}
      for (const pair of node.items) {
        const name = isScalar(pair.key) ? String(pair.key.value) : undefined
        const start = (pair.key as Node | null)?.range?.[0]
        if (name === undefined || name === '__proto__') {
          problems.push({ path: writePath(path), at: start === undefined ? undefined : place(start), message: 'a key must be a plain name' })
          continue
        }
        const inner = [...path, name]
        if (start !== undefined) positions.set(key(inner), place(start))
        map[name] = read(pair.value as Node | null, inner)
      }
      return map
    }
    if (isSeq(node)) {
      return node.items.map((item, index) => {
        const inner = [...path, index]
        const start = (item as Node | null)?.range?.[0]
        if (start !== undefined) positions.set(key(inner), place(start))
        return read(item as Node | null, inner)
      })
    }
    if (!isScalar(node)) return null
    if (typeof node.value !== 'string') return node.value
    const { text: value, fromEnvironment, problems: wrong } = interpolate(node.value, environment)
    if (fromEnvironment) references.add(key(path))
    if (wrong.length > 0) unresolved.add(key(path))
    for (const message of wrong) report(path, message)
    return value
  }
  const value = first === undefined || problems.length > 0 ? undefined : read(first.contents, [])
  return {
    value: value ?? {},
    problems,
    at (path) {
      for (let length = path.length; length > 0; length--) {
        const found = positions.get(key(path.slice(0, length)))
        if (found !== undefined) return found
      }
      return undefined
    },
    fromEnvironment: path => references.has(key(path)),
    unresolved: path => unresolved.has(key(path)),
  }
}

/** In our words: the parser's own messages may quote the file, and with it a secret. */
const syntaxMessage = (error: YAMLError, text: string): string => {
  const known = SYNTAX[error.code] ?? 'is not valid YAML'
  const around = text.slice(text.lastIndexOf('\n', error.pos[0] - 1) + 1, error.pos[1] + 1)
  return around.includes('${') && around.includes('{') && error.code !== 'DUPLICATE_KEY'
    ? `${known}; inside { } and [ ] a reference to the environment needs quotes: "\${NAME}"`
    : known
}

const SYNTAX: Readonly<Partial<Record<YAMLError['code'], string>>> = {
  DUPLICATE_KEY: 'this key is given twice; keep one',
  TAB_AS_INDENT: 'a tab is used as indentation; use spaces',
  BAD_INDENT: 'the indentation does not fit; members of one mapping start in the same column',
  BAD_ALIAS: 'this alias names an anchor that does not exist',
  MISSING_CHAR: 'something is missing here: a closing quote or bracket, a comma, or a colon with a space after it',
  MULTILINE_IMPLICIT_KEY: 'a key must be on one line, followed by a colon',
  BLOCK_AS_IMPLICIT_KEY: 'a mapping cannot start here; begin a new line, indented further',
  BLOCK_IN_FLOW: 'inside { } and [ ] members are separated by commas, not by lines',
  TAG_RESOLVE_FAILED: 'unknown tag; remove it',
  BAD_DQ_ESCAPE: 'unknown escape in double quotes; use single quotes, or \\\\ for a backslash',
  UNEXPECTED_TOKEN: 'something is here that YAML does not expect; do brackets, quotes and indentation match?',
}
