export * from './types.js'
export * from './record.js'
export { RecentRequests } from './recent.js'
