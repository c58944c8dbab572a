// Helps a plugin's own tests: takes a component out of the built library as the host does, makes inputs for it, and
// compares gradients with finite differences. Any test framework serves, or run_all() of testing/expect.hpp.
//
//   const Plugin plugin(HEARTH_PLUGIN_FILE);                                 // set by hearth_test_plugin()
//   const auto loss = plugin.make<Loss>("variance-floor", {"gamma=0.5"}, {{"B", 4}, {"D", 3}});
//   const auto in = loss.inputs();                                           // random, of the declared shapes
//   loss.expect_declared(loss->forward(in, Context{}));
//   expect(gradient_error(loss, in, "cls") < 1e-6, "the gradient is the slope");
//
// docs/authoring/ has a test of each kind.
#pragma once

#include <hearth/hearth.hpp>
#include <hearth/testing/expect.hpp>
#include <hearth/testing/gradients.hpp>
#include <hearth/testing/made.hpp>
#include <hearth/testing/options.hpp>
#include <hearth/testing/plugin.hpp>
