export { createDataPlane, type DataPlane } from './app.js'
export type { DataPlaneOptions } from './context.js'
