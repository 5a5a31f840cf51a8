#!/usr/bin/env node
import { setUpCollector } from './collector.js'
import { runProcess } from './process.js'
import { program } from './program.js'

setUpCollector()
await runProcess(program)
