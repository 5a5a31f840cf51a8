/** The only entrance to the core. */
export * from './types.js'
export * from './events.js'
export * from './timeline.js'
