export { createDataPlane, type DataPlane } from './app.js'
export type { DataPlaneOptions } from './context.js'
export { createAdminPlane } from './admin/app.js'
export type { AdminPlaneOptions } from './admin/deps.js'
