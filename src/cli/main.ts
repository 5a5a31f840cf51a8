#!/usr/bin/env node
import { runProcess } from './process.js'
import { program } from './program.js'

await runProcess(program)
