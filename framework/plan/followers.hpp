// A follower is the moving average of its leader's weights; pictures of a plan draw that as an arrow.
#pragma once

#include <vector>

#include "plan/plan.hpp"

namespace hearth::plan {

/// From the backbone of a leader to that of its follower. They hold while the plan lives.
struct FollowerEdge {
    const Node* leader;
    const Node* follower;
};

/// One for each follower that has a backbone. Of a network with several passes it is the first that runs, or
/// where none does the first.
std::vector<FollowerEdge> follower_edges(const Plan& plan);

}  // namespace hearth::plan
