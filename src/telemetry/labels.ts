import { ANONYMOUS_TENANT, type Config } from '../config/index.js'

/** Stands for every name that is not configured. */
export const OTHER = 'other'
/** Models that backends list may be labels as well, up to this many. */
const MAX_LISTED_MODELS = 100

/**
 * Which names may be label values: those of the configuration, and models that its backends serve. What a client sends is
 * never one by itself, so the number of series has a bound that only an operator can move.
 */
export class LabelNames {
  #routes: ReadonlySet<string> = new Set()
  #classes: ReadonlySet<string> = new Set()
  #pools: ReadonlySet<string> = new Set()
  #tenants: ReadonlySet<string> = new Set()
  #configuredModels: ReadonlySet<string> = new Set()
  /** Only ever grows: names that come and go must not be a way to make ever more series. */
  readonly #listedModels = new Set<string>()

  configure(config: Pick<Config, 'routes' | 'classes' | 'pools' | 'auth'>): void {
    this.#routes = new Set([...config.routes.map((route, index) => route.name ?? String(index + 1)), 'default'])
    this.#classes = new Set([...Object.keys(config.classes), 'default'])
    this.#tenants = new Set([...typeof config.auth === 'object' ? config.auth.keys.map(({ name }) => name) : [], ANONYMOUS_TENANT])
    this.#pools = new Set([...Object.keys(config.pools), 'none'])
    this.#configuredModels = new Set(Object.values(config.pools).flatMap((pool) => pool.backends.flatMap((backend) => backend.models ?? [])))
  }

  /** Models that backends say they serve. */
  listed(models: readonly string[]): void {
    for (const name of models) {
      if (this.#listedModels.size >= MAX_LISTED_MODELS) return
      this.#listedModels.add(name)
    }
  }

  route(name: string): string { return this.#routes.has(name) ? name : OTHER }
  className(name: string): string { return this.#classes.has(name) ? name : OTHER }
  tenant(name: string): string { return this.#tenants.has(name) ? name : OTHER }
  pool(name: string | undefined): string { return name === undefined ? 'none' : this.#pools.has(name) ? name : OTHER }
  model(name: string | undefined): string {
    return name !== undefined && (this.#configuredModels.has(name) || this.#listedModels.has(name)) ? name : OTHER
  }
}
