// Teams of the host that a block of a GPU has more in common with than a loop.
#pragma once

#include <algorithm>
#include <barrier>
#include <functional>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "cuda/team.hpp"

namespace hearth::test {

/// One thread, which visits elements in another order each time: who depends on the order gets another result.
class Shuffled {
  public:
    using Own = cuda::Alone::Own;
    template <class Body>
    void each(int count, const Body& body) const {
        std::vector<int> order(static_cast<std::size_t>(count));
        std::iota(order.begin(), order.end(), 0);
        std::shuffle(order.begin(), order.end(), random_);
        for (const int i : order) body(i, count - 1 - i);
    }
    template <class Number>
    Number sum(Number x) const {
        return x;
    }
    bool first() const { return true; }

  private:
    mutable std::mt19937 random_{7};
};

/// Threads that run beside one another and meet at sums alone, as those of a block do: what one keeps, no other
/// sees.
class Crew {
  public:
    static constexpr int size = 5;

    class Member {
      public:
        Member(Crew& crew, int number) : crew_(crew), number_(number) {}
        class Own {
          public:
            explicit Own(int count) : values_(static_cast<std::size_t>(count / size + 1)) {}
            float& operator[](int slot) { return values_.at(static_cast<std::size_t>(slot)); }

          private:
            std::vector<float> values_;
        };
        template <class Body>
        void each(int count, const Body& body) const {
            for (int i = number_, slot = 0; i < count; i += size, ++slot) body(i, slot);
        }
        template <class Number>
        Number sum(Number x) const {
            crew_.said_[static_cast<std::size_t>(number_)] = static_cast<double>(x);
            crew_.meet_.arrive_and_wait();
            Number total = 0;
            for (const double said : crew_.said_) total += static_cast<Number>(said);
            crew_.meet_.arrive_and_wait();
            return total;
        }
        bool first() const { return number_ == 0; }

      private:
        Crew& crew_;
        int number_;
    };

    /// work(member), by all.
    template <class Work>
    void run(const Work& work) {
        std::vector<std::jthread> threads;
        for (int number = 0; number < size; ++number)
            threads.emplace_back([&, number] { work(Member(*this, number)); });
    }

  private:
    std::barrier<> meet_{size};
    std::vector<double> said_ = std::vector<double>(size);
};

/// visit(run) with run(work) for each team, where run calls work(team).
template <class Visit>
void for_each_team(const Visit& visit) {
    visit("alone", [](const auto& work) { work(cuda::Alone()); });
    visit("shuffled", [](const auto& work) { work(Shuffled()); });
    visit("a crew", [](const auto& work) { Crew().run(work); });
}

}  // namespace hearth::test
