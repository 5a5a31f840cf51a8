import { configProperties } from './config.js'
import { fieldProperties } from './fields.js'
import { headerProperties } from './headers.js'
import { meterProperties } from './meter.js'
import type { Property } from './property.js'

export const properties: readonly Property[] = [...meterProperties, ...fieldProperties, ...headerProperties, ...configProperties]
