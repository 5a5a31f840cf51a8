import { ConfigError, nearest } from '../config/index.js'
import { Failure, UsageError, type Command } from './command.js'
import { COMMANDS, DEFAULT_COMMAND } from './commands/index.js'
import type { Io } from './process.js'
import { version } from './version.js'

const EXIT_FAILED = 1
const EXIT_USAGE = 2

/** The `sluice` program: picks the command, runs it, turns what it throws into words and an exit code. */
export const program = async (args: string[], io: Io): Promise<number> => {
  try {
    return await dispatch(args, io)
  } catch (error) {
    if (error instanceof UsageError) {
      io.err(`sluice: ${error.message}\nTry 'sluice --help'.\n`)
      return EXIT_USAGE
    }
    if (error instanceof Failure || error instanceof ConfigError) io.err(`sluice: ${error.message}\n`)
    else io.err(`sluice: unexpected error, please report it\n${error instanceof Error ? error.stack : String(error)}\n`)
    return EXIT_FAILED
  }
}

const dispatch = async (args: string[], io: Io): Promise<number> => {
  const [first, ...rest] = args
  if (first === '--version' || first === '-V') {
    io.out(`sluice ${await version()}\n`)
    return 0
  }
  if (first === '--help' || first === '-h' || first === 'help') {
    const [topic] = rest
    io.out(first === 'help' && topic !== undefined ? (await load(topic)).help : await overview())
    return 0
  }
  const named = first !== undefined && !first.startsWith('-')
  const command = await load(named ? first : DEFAULT_COMMAND)
  const own = named ? rest : args
  const beforeDashes = own.includes('--') ? own.slice(0, own.indexOf('--')) : own
  if (beforeDashes.includes('--help') || beforeDashes.includes('-h')) {
    io.out(command.help)
    return 0
  }
  return await command.run(own, io)
}

const load = async (name: string): Promise<Command> => {
  const loader = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (loader !== undefined) return await loader()
  const near = nearest(name, Object.keys(COMMANDS))
  throw new UsageError(`unknown command '${name}'${near === undefined ? `; commands are ${Object.keys(COMMANDS).join(', ')}` : `; did you mean '${near}'?`}`)
}

const overview = async (): Promise<string> => {
  const commands = await Promise.all(Object.values(COMMANDS).map(async loader => await loader()))
  const width = Math.max(...commands.map(command => command.name.length))
  return `Sluice: a reverse-proxy inference gateway with SLO-aware admission.

Usage
  sluice [serve] [--config FILE | --backend URL... | --demo]
  sluice COMMAND [flags]
  sluice COMMAND --help

Commands
${commands.map(command => `  ${command.name.padEnd(width)}  ${command.summary}${command.name === DEFAULT_COMMAND ? ' (the default)' : ''}`).join('\n')}

Examples
  sluice --demo                              a gateway in front of an emulated fleet
  sluice --backend http://localhost:8000     in front of one model server, no file needed
  sluice --config sluice.yaml                as the file says; reloads on change and on SIGHUP
  sluice check sluice.yaml                   validate and explain a file

Flags
  -h, --help      this page, or a command's own
  -V, --version   version

Exit codes: 0 done, 1 failed, 2 wrong arguments.
`
}
