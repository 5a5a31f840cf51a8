/** The server of known timing in a process of its own: gets a course, tells its address, and on the word `deeds` what it did. */
import { startScriptedServer, type Course } from './scripted-server.js'

const course = JSON.parse(process.argv[2]!) as Course
const server = await startScriptedServer(() => course, true)
process.send!({ url: server.url })
process.on('message', () => { process.send!({ deeds: [...server.deeds] }, () => { process.exit() }) })
// Without the one that asked there is nothing to do.
process.on('disconnect', () => { process.exit() })
