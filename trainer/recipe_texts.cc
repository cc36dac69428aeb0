#include "trainer/recipes.h"

namespace neumf {

// The format is ParseRecipes()'s. A recipe gives every setting that differs
// from the defaults of TrainSettings.
absl::string_view RecipeTexts() {
  return R"(

recipe d2l-neumf
  about NeuMF as in "Dive into Deep Learning", chapter 21.6
  protocol d2l
  reaches ml-100k: Hit@50 .350, AUC .881
  stage neumf
    model=neumf factors=10 hidden=10-10-10 biases=none
    loss=bpr reduction=sum sampler=pool negatives=1 batch_size=1024 epochs=10
    optimizer=adam learning_rate=0.01 weight_decay=1e-5 initialization=d2l

)";
}

}  // namespace neumf
