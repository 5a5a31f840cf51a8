// Packs the package as it would be published, installs the tarball in an empty folder and runs its binary.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folder = mkdtempSync(join(tmpdir(), 'sluice-smoke-'))
const run = (command, args, cwd) => execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const expect = (ok, what) => { if (!ok) throw new Error(`the packed package is not right: ${what}`) }
try {
  const [packed] = JSON.parse(run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]))
  const names = packed.files.map(file => file.path)
  expect(names.includes('dist/cli/main.js') && names.includes('LICENSE') && names.includes('config/example.yaml'), 'files are missing')
  expect(!names.some(name => /^(test|src|docs|\.ci)\//.test(name)), 'files are in it that users do not need')
  writeFileSync(join(folder, 'package.json'), '{"private":true}')
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', join(folder, packed.filename)], folder)
  const sluice = (...args) => run(join(folder, 'node_modules/.bin/sluice'), args, folder)
  // From a registry npm goes by the package's own shrinkwrap; from a file it must be told to.
  expect(names.includes('npm-shrinkwrap.json'), 'its dependencies are not pinned')
  run('npm', ['ci', '--omit', 'dev', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'], join(folder, 'node_modules/sluice'))
  expect(sluice('--help').includes('sluice check'), '`sluice --help`')
  expect(sluice('check', join(folder, 'node_modules/sluice/config/example.yaml')).includes('is valid'), '`sluice check` of the example')
  console.log(`${packed.filename}: ${packed.entryCount} files, ${Math.round(packed.unpackedSize / 1024)} KiB; installs as pinned, and runs`)
} finally {
  rmSync(folder, { recursive: true })
}
