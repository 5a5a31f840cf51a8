#!/usr/bin/env node
import { collectWithoutHelpersOnOneCore } from './collector.js'
import { runProcess } from './process.js'
import { program } from './program.js'

collectWithoutHelpersOnOneCore()
await runProcess(program)
