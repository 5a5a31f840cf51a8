/** The page that the admin plane serves, and the figures that it shows. */
export * from './types.js'
export { PAGE_HEADERS, PAGE_PATHS, readAssets, type Asset } from './assets.js'
export { Dashboard, type DashboardOptions, type Message, type Reader } from './dashboard.js'
