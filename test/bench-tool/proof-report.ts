import t from 'tap'
import { loadKept } from '../proof/report.js'

t.test('the load kept at an objective lies between the loads around it', async t => {
  t.same(loadKept([[1, 0.8], [0.5, 1]], 0.9), { load: 0.75, atLeast: false })
  t.same(loadKept([[0.5, 0.95], [1, 0.92]], 0.9), { load: 1, atLeast: true })
  t.match(loadKept([[0.5, 0.8], [1, 0.95]], 0.9), { load: 0.25, atLeast: false }, 'what comes after the first miss does not count')
})
